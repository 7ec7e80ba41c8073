"""Builds one model server with the API of the LMI container."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from nearstream.compose.model_server import traces
from nearstream.compose.protection import protection
from nearstream.config.container import ContainerSettings
from nearstream.config.serving.sources import startup_name
from nearstream.config.settings import Settings
from nearstream.core.restrictions import Restrictions
from nearstream.engines.table import engine_kind
from nearstream.home.paths import Home
from nearstream.replica.host import Place
from nearstream.replica.lmi.app import Front
from nearstream.replica.lmi.loader import ModelLoader
from nearstream.replica.lmi.management import inferred_name
from nearstream.replica.lmi.served import Source
from nearstream.replica.lmi.server import LmiServerSettings, Parts, serve
from nearstream.telemetry.djl import DjlMetrics
from nearstream.wire.dialects.lmi.terms import lmi_release

log = structlog.get_logger()
clock = time.time  # noqa: TID251 - registrations and sessions have dates
# What SageMaker's containers call the model that they were started with.
MODEL_NAME = "model"


@dataclass(frozen=True, slots=True)
class LmiOptions:
    """The options of `nearstream serve --as lmi`. `model_id` is what answers call the model."""

    model_dir: Path | None
    model: str | None
    model_id: str | None
    version: str
    place: Place
    deployment: str = ""
    """Servers that are started with one name serve the same data."""
    open_management: bool = False
    """Whether this machine's users may manage models without a key."""


async def lmi_server(
    options: LmiOptions, container: ContainerSettings, site: Settings, *, environ: Mapping[str, str]
) -> None:
    """Serve until SIGTERM. Raises Unusable for a model, a setting or an address that cannot be used."""
    release, metrics, source = lmi_release(options.version), DjlMetrics(), _at_startup(options, environ)
    loader = ModelLoader(
        release=release,
        environ=environ,
        cache=Home(site.home).cache,
        aliases=site.aliases,
        engine=engine_kind(site.engine),
        metrics=metrics,
        clock=clock,
        fetch=partial(_fetched, options.deployment, site),
        restrictions=Restrictions(frozenset(site.secure_mode)),
        model=options.model,
        model_id=options.model_id,
    )
    serving = await loader.settings(source)
    named = serving.cors_allowed_origin
    guarded = protection(
        None if options.place.port is None else options.place.host,
        site,
        origins=(*container.cors_allow_origins, *(named.replace(",", " ").split() if named else ())),
        api_key=container.api_key,
        open_management=options.open_management,
    )
    front = Front(
        release,
        max_request_bytes=serving.max_request_bytes,
        api_key=container.api_key,
        management=guarded.management,
        error_rates=serving.error_rates,
        pages=guarded.pages,
    )
    with traces(container) as trace:
        await serve(
            LmiServerSettings(options.place, front, (source,)),
            Parts(partial(loader.open, startup=serving), metrics, clock, trace),
            on_listening=lambda addresses: log.info("listening", addresses=list(addresses)),
            on_ready=lambda: log.info("ready", model=source.name),
        )


async def _fetched(deployment: str, site: Settings, url: str) -> Path:
    from nearstream.models.site_data import fetched  # noqa: PLC0415 - boto3 takes a while to import

    return await fetched(url, deployment, site)


def _at_startup(options: LmiOptions, environ: Mapping[str, str]) -> Source:
    """The model of the start. A replica's lies wherever it was unpacked, which is no name."""
    named, version = startup_name(environ)
    if options.model_dir is None:
        return Source(named or MODEL_NAME, version=version, at_startup=True)
    place = str(options.model_dir.absolute())
    name = inferred_name(place) if options.place.socket is None else MODEL_NAME
    return Source(named or name, place, version=version, at_startup=True)
