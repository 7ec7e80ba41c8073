"""`nearstream serve`: one model server, as a container would run it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import uvloop
from cyclopts import Parameter

from nearstream.cli.options import HomeOption
from nearstream.compose.model_server import ServeOptions, model_server
from nearstream.config.container import container_settings
from nearstream.config.home import Home
from nearstream.config.settings import load
from nearstream.core.errors import Unusable
from nearstream.telemetry import logs

DEFAULT_PORT = 8080


def serve(
    model: Annotated[str | None, Parameter(help="builtin, a directory, a .gguf file or a hub id.")] = None,
    *,
    persona: Annotated[
        Literal["tgi", "lmi"], Parameter(name="--as", help="The server whose wire it speaks.")
    ] = "tgi",
    version: Annotated[str, Parameter(help="The release it speaks as, 0.9.3 or 3.3 say.")] = "",
    model_id: Annotated[
        str | None, Parameter(help="The name that clients see (default: the model's).")
    ] = None,
    host: Annotated[str, Parameter(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int | None, Parameter(help="Port to listen on (default: 8080, none with --uds).")] = None,
    uds: Annotated[Path | None, Parameter(help="Unix socket to listen on.")] = None,
    home: HomeOption = None,
) -> None:
    """Serve one model over HTTP with TGI's and OpenAI's wire; limits come from TGI's variables."""
    logs.to_stream(sys.stderr)
    if persona == "lmi":
        raise Unusable("The LMI persona is not served by this version: use --as tgi.")
    container = container_settings()
    name = model or container.hf_model_id or "builtin"
    if port is None and uds is None:
        port = DEFAULT_PORT
    options = ServeOptions(
        model=name,
        model_id=model_id or name,
        version=version,
        host=host,
        port=port,
        uds=uds,
    )
    settings = load({"home": home})
    uvloop.run(model_server(options, container, Home(settings.home)))
