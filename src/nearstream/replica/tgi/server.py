"""The model server with TGI's routes."""

from __future__ import annotations

from functools import partial

from nearstream.replica import server
from nearstream.replica.tgi.app import build_app

serve = partial(server.serve, api=server.Api(build_app, metrics_prefix="tgi"))
"""See `nearstream.replica.server.serve`."""
