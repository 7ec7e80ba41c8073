"""The model server with OpenAI's routes alone."""

from __future__ import annotations

from functools import partial

from nearstream.replica import server
from nearstream.replica.openai.app import build_app

serve = partial(server.serve, api=server.Api(build_app, metrics_prefix="nearstream"))
"""See `nearstream.replica.server.serve`."""
