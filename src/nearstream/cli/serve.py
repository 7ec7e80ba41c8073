"""`nearstream serve`: one model server, as a container would run it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import structlog
import uvloop
from cyclopts import Parameter

from nearstream.cli.options import AllowHostOption, CorsOption, HomeOption, SecureOption
from nearstream.compose.lmi_server import LmiOptions, lmi_server
from nearstream.compose.model_server import ServeOptions, model_server
from nearstream.config.container import ContainerSettings, container_settings
from nearstream.config.deployed import WITHHELD_VARIABLES, reason_to_withhold
from nearstream.config.settings import Settings, load, own_environment
from nearstream.core.errors import Unusable
from nearstream.replica.host import Place
from nearstream.telemetry import logs

_log = structlog.get_logger(__name__)
DEFAULT_PORT = 8080
LMI_GRACE_S = 30.0


def serve(
    model: Annotated[str | None, Parameter(help="builtin, a directory, a .gguf file or a hub id.")] = None,
    *,
    persona: Annotated[
        Literal["tgi", "lmi", "openai"], Parameter(name="--as", help="The server whose API it serves.")
    ] = "tgi",
    version: Annotated[
        str,
        Parameter(help="The release it serves as, for example 0.9.3 or 3.3 of TGI, 0.25.0 or 0.36 of LMI."),
    ] = "",
    model_dir: Annotated[
        Path | None, Parameter(help="With --as lmi: the folder of serving.properties, or of the model.")
    ] = None,
    model_data: Annotated[
        str | None,
        Parameter(help="s3:// or https URL of the model: an archive, or what lies below a prefix."),
    ] = None,
    deployment: Annotated[
        str, Parameter(help="With --model-data: servers started with one name serve the same data.")
    ] = "",
    unpack: Annotated[bool, Parameter(help="With --model-data: unpack an archive.")] = True,
    model_id: Annotated[
        str | None, Parameter(help="The name that clients see (default: the model's).")
    ] = None,
    host: Annotated[str, Parameter(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int | None, Parameter(help="Port to listen on (default: 8080, none with --uds).")] = None,
    uds: Annotated[Path | None, Parameter(help="Unix socket to listen on.")] = None,
    home: HomeOption = None,
    cors_allow_origin: CorsOption = (),
    allow_host: AllowHostOption = (),
    secure_mode: SecureOption = False,
    open_management: Annotated[
        bool, Parameter(negative=(), help="Let this machine's users manage models without a key.")
    ] = False,
) -> None:
    """Serve a model over HTTP with the API of TGI, of LMI or of OpenAI.

    TGI's variables configure it; with --as lmi serving.properties does.
    """
    logs.to_stream(sys.stderr)
    _note_withheld()
    container, site = (
        container_settings(),
        load(
            {
                "home": home,
                "cors_allow_origins": cors_allow_origin,
                "allow_hosts": allow_host,
                "secure_mode": secure_mode or None,
            }
        ),
    )
    if model_dir is not None and str(model_dir).startswith("s3:/"):
        raise Unusable("--model-dir is a folder of this machine: name what lies in S3 with --model-data.")
    if model_data is not None:
        if model_dir is not None:
            raise Unusable("--model-dir and --model-data were both given: a model comes from one of them.")
        from nearstream.models.site_data import fetched  # noqa: PLC0415  # boto3 takes a while to import

        model_dir = uvloop.run(fetched(model_data, deployment, site, unpacked=unpack))
    if port is None and uds is None:
        port = DEFAULT_PORT
    if persona == "lmi":
        _serve_lmi(
            LmiOptions(
                model_dir,
                model,
                model_id,
                version,
                Place(host, port, uds, LMI_GRACE_S),
                deployment,
                open_management,
            ),
            container,
            site,
        )
        return
    if model_dir is not None and model_data is None:
        raise Unusable(
            "--model-dir goes with --as lmi; with --as tgi and --as openai the model is an argument."
        )
    name = model or (str(model_dir) if model_dir else container.hf_model_id) or "builtin"
    options = ServeOptions(
        model=name,
        model_id=model_id or name,
        version=version,
        host=host,
        port=port,
        uds=uds,
        persona=persona,
        deployed=model_data is not None,
        open_management=open_management,
    )
    uvloop.run(model_server(options, container, site))


def _note_withheld() -> None:
    """Name the variables of the container that do not count, and no value."""
    names = own_environment().get(WITHHELD_VARIABLES, "")
    for name in filter(None, names.split(",")):
        _log.warning("variable of the container withheld", variable=name, because=reason_to_withhold(name))


def _serve_lmi(options: LmiOptions, container: ContainerSettings, site: Settings) -> None:
    uvloop.run(lmi_server(options, container, site, environ=own_environment()))
