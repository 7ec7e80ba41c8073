"""Builds one model server that stands in for the LMI container."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import structlog

from nearstream.compose.lmi_models import Shop, open_model
from nearstream.compose.model_server import traces
from nearstream.config.container import ContainerSettings
from nearstream.config.home import Home
from nearstream.config.serving.read import read_serving
from nearstream.core.aliases import Aliases
from nearstream.models.local import local_folder
from nearstream.replica.host import Place
from nearstream.replica.lmi.app import Front
from nearstream.replica.lmi.management import inferred_name
from nearstream.replica.lmi.served import Source
from nearstream.replica.lmi.server import LmiServerSettings, Parts, serve
from nearstream.telemetry.djl import DjlMetrics
from nearstream.wire.dialects.lmi_terms import lmi_release

log = structlog.get_logger()
clock = time.time  # noqa: TID251 - registrations and sessions tell the date
# What SageMaker's containers call the model that they were started with.
MODEL_NAME = "model"


@dataclass(frozen=True, slots=True)
class LmiOptions:
    """What `nearstream serve --as lmi` was told. `model_id` is what answers call the model."""

    model_dir: Path | None
    model: str | None
    model_id: str | None
    version: str
    place: Place


async def lmi_server(
    options: LmiOptions,
    container: ContainerSettings,
    home: Home,
    *,
    environ: Mapping[str, str],
    aliases: Aliases,
) -> None:
    """Serve until SIGTERM. Raises Unusable for a model, a setting or an address that cannot be used."""
    release, metrics, source = lmi_release(options.version), DjlMetrics(), _at_startup(options)
    folder = await local_folder(source.url, home.cache) if source.url else None
    serving, _ = read_serving(folder, environ, version=release.version)
    shop = Shop(
        release, environ, home.cache, aliases, metrics, clock, asked=options.model, model_id=options.model_id
    )
    front = Front(
        release,
        max_request_bytes=serving.max_request_bytes,
        api_key=container.api_key,
        managed=container.api_key is not None or _is_local(options.place),
        error_rates=serving.error_rates,
        origin=serving.cors_allowed_origin,
    )
    with traces(container) as trace:
        await serve(
            LmiServerSettings(options.place, front, (source,)),
            Parts(partial(open_model, shop), metrics, clock, trace),
            on_listening=lambda addresses: log.info("listening", addresses=list(addresses)),
            on_ready=lambda: log.info("ready", model=source.name),
        )


def _at_startup(options: LmiOptions) -> Source:
    """The model of the start. A replica's lies wherever it was unpacked, which is no name."""
    if options.model_dir is None:
        return Source(MODEL_NAME, at_startup=True)
    place = str(options.model_dir.absolute())
    name = inferred_name(place) if options.place.socket is None else MODEL_NAME
    return Source(name, place, at_startup=True)


def _is_local(place: Place) -> bool:
    """Whether nobody but this machine's own users can call."""
    if place.port is None or place.host == "localhost":
        return True
    try:
        return ip_address(place.host).is_loopback
    except ValueError:
        return False
