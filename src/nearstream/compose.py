"""The only place that builds the object graph: a site with its front door, or one model server."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import structlog

from nearstream.config.container import ContainerSettings
from nearstream.config.home import Credentials, Home
from nearstream.config.settings import Settings, inherited_environment
from nearstream.core.errors import Unusable
from nearstream.core.replicas import Persona
from nearstream.deploy.local import LocalDeployer
from nearstream.engines.openvino.engine import OpenVINOEngine
from nearstream.engines.openvino.settings import EngineSettings
from nearstream.fleet.controller import Controller, Parts
from nearstream.fleet.pool import Pool
from nearstream.fleet.specs import desired
from nearstream.fleet.store import Store
from nearstream.frontdoor.door import Control, FrontDoor
from nearstream.frontdoor.listener import listening
from nearstream.frontdoor.relay import Relay
from nearstream.frontdoor.upstream import Upstreams
from nearstream.frontdoor.view import SiteView
from nearstream.models.convert import WeightFormat
from nearstream.models.hub import parse_hub_id
from nearstream.models.resolve import resolve
from nearstream.replica.server import serve
from nearstream.replica.settings import ServerSettings
from nearstream.services import runtime
from nearstream.services.sagemaker.operations import operations
from nearstream.telemetry.spans import Trace, untraced
from nearstream.wire.aws import image, service
from nearstream.wire.aws.arn import Account
from nearstream.wire.aws.credentials import Credential
from nearstream.wire.aws.sigv4 import Verifier
from nearstream.wire.dialects.terms import LATEST, Limits, Release, Terms, tgi_release

STOP_GRACE_S = 10.0
# For a model that does not say how much it was trained for.
DEFAULT_CONTEXT_TOKENS = 4096
SERVICES = frozenset({"sagemaker"})

clock = time.time  # noqa: TID251  # the one real clock; everything else is handed it
log = structlog.get_logger()


@asynccontextmanager
async def site(settings: Settings, home: Home, credentials: Credentials) -> AsyncIterator[None]:
    """A whole site: front door, control plane, replicas. Leaving it stops the replicas; a crash leaves them.

    Raises Unusable for a port, a database or a folder that cannot be used.
    """
    account = Account(credentials.account, credentials.region)
    wake = asyncio.Event()
    pool = Pool(random=random.random, clock=clock)
    environment = inherited_environment() | {"NEARSTREAM_HOME": str(home.path)}
    deployer = LocalDeployer(home.path, environment=environment, clock=clock, notify=wake.set)
    # The model that the site itself was told to run stands for itself, whatever the patterns say.
    aliases = (*settings.aliases, (settings.model, settings.model))
    desire = partial(desired, read_image=read_image, aliases=aliases)
    async with Store.open(settings.database or home.database) as store, deployer, Upstreams() as upstreams:
        calls = operations(store, account, clock)
        control = Control(await asyncio.to_thread(service.load, "sagemaker", calls), calls)
        door = FrontDoor(
            verifier=verifier(credentials),
            clock=clock,
            control=control,
            relay=Relay(pool, upstreams, runtime.Site(account)),
            site=runtime.Site(account),
            view=SiteView(pool, account, settings.url, version("nearstream")),
        )
        controller = Controller(Parts(store, deployer, pool, desire, clock), wake=wake)
        await controller.refresh()
        async with listening(door.handle, host=settings.host, port=settings.port):
            try:
                async with _running(controller):
                    yield
            finally:
                await deployer.stop_all(grace_s=STOP_GRACE_S)


@asynccontextmanager
async def _running(controller: Controller) -> AsyncIterator[None]:
    """The controller's loop beside the block; an error of the block comes out as itself, not in a group."""
    try:
        async with asyncio.TaskGroup() as group:
            loop = group.create_task(controller.run())
            try:
                yield
            finally:
                loop.cancel()
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


def verifier(credentials: Credentials) -> Verifier:
    """Knows the one key of a home."""
    known = Credential(
        credentials.access_key,
        credentials.secret_key,
        credentials.account,
        arn=f"arn:aws:iam::{credentials.account}:root",
    )
    return Verifier({known.access_key: known}.get, region=credentials.region, services=SERVICES)


def read_image(uri: str) -> tuple[Persona, str]:
    """The model server that an image URI means. Raises Unusable for one that does not run here."""
    read = image.parse(uri)
    if read.persona == "lmi":
        raise Unusable(
            f"The image {uri} is an LMI container, which this version does not serve: use a TGI image."
        )
    return read.persona, read.version


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What `nearstream serve` was told; `model_id` is the name that clients see."""

    model: str
    model_id: str
    version: str
    host: str
    port: int | None
    uds: Path | None
    weights: WeightFormat = "fp16"
    """What a checkpoint's weights become when it is converted."""


async def model_server(options: ServeOptions, container: ContainerSettings, home: Home) -> None:
    """Serve one model until SIGTERM. Raises Unusable for a model or an address that cannot be used."""
    model = await resolve(
        revised(options, container.hf_model_revision),
        cache=home.cache,
        weights=options.weights,
        progress=lambda text: log.info("preparing the model", progress=text),
    )
    if options.model_id != model.name:
        log.info("one model stands in for another", asked=options.model_id, runs=model.name)
    engine = EngineSettings(
        model=model.model,
        context_tokens=model.context_tokens,
        vocab_size=model.vocab_size,
        kv_bytes_per_token=model.kv_bytes_per_token,
        max_seqs=container.max_batch_size,
    )
    release = tgi_release(options.version or LATEST)
    context = min(model.context_tokens or DEFAULT_CONTEXT_TOKENS, engine.request_tokens)
    settings = ServerSettings(
        model_id=options.model_id,
        model_directory=model.path,
        terms=Terms(release, limits(container, release, context)),
        host=options.host,
        port=options.port,
        socket=options.uds,
        grace_s=container.graceful_termination_timeout,
        api_key=container.api_key,
        cors_allow_origins=container.cors_allow_origins,
        messages_api=container.messages_api_enabled,
        max_batch_size=container.max_batch_size,
        max_batch_tokens=container.max_batch_total_tokens,
        compute_type=container.compute_type,
    )
    with _traces(container) as trace:
        await serve(
            settings,
            lambda: OpenVINOEngine.open(engine),
            trace=trace,
            on_listening=lambda addresses: log.info("listening", addresses=list(addresses)),
            on_ready=lambda: log.info("ready", model=options.model_id),
        )


def _traces(container: ContainerSettings) -> AbstractContextManager[Trace]:
    """Where traces go, if anywhere; without OpenTelemetry they are left out, and the log says so."""
    if container.otlp_endpoint is None:
        return nullcontext(untraced)
    try:
        from nearstream.telemetry.tracing import otlp  # noqa: PLC0415 - an extra
    except ImportError as error:
        log.warning("no traces are sent", because=str(error), needed="nearstream[tracing]")
        return nullcontext(untraced)
    return otlp(container.otlp_endpoint, container.otlp_service_name)


def revised(options: ServeOptions, revision: str | None) -> str:
    """The model to run. A revision is of the hub's model that was asked for, not of a stand-in."""
    model, hub_id = options.model, parse_hub_id(options.model)
    if revision is None or hub_id is None or hub_id.revision is not None:
        return model
    if model != options.model_id or Path(model).exists():
        return model
    return f"{model}@{revision}"


def limits(container: ContainerSettings, release: Release, context: int) -> Limits:
    """What a request may ask for: by the container's variables or its release, within `context` tokens."""
    total = container.max_total_tokens or release.default_max_total_tokens or context
    if total > context:
        if container.max_total_tokens is not None:
            log.warning("MAX_TOTAL_TOKENS lowered to what fits", asked=total, fits=context)
        total = context
    asked = container.max_input_tokens or release.default_max_input_tokens or total - 1
    if container.max_input_tokens is None or total != container.max_total_tokens:
        asked = min(asked, total - 1)
    return Limits(
        max_input_tokens=asked,
        max_total_tokens=total,
        max_best_of=container.max_best_of,
        max_stop_sequences=container.max_stop_sequences,
        max_top_n_tokens=container.max_top_n_tokens,
        max_client_batch_size=container.max_client_batch_size,
        max_concurrent_requests=container.max_concurrent_requests,
        payload_limit_bytes=container.payload_limit,
    )


async def stop_replicas(home: Home) -> int:
    """End every replica that a home's front door left behind; how many there were."""
    async with LocalDeployer(home.path, environment={}, clock=clock) as deployer:
        left = len(await deployer.observe())
        await deployer.stop_all(grace_s=STOP_GRACE_S)
    return left
