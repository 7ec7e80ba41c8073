"""Builds a site: front door, control plane, replicas."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

from nearstream.compose.entrance import AWS_HOSTS, entrance, s3_names
from nearstream.compose.identities import lookup
from nearstream.compose.protection import page_rules
from nearstream.config.settings import Settings, replica_environment
from nearstream.core.accounts import Account
from nearstream.core.ports import Deployer, ReplicaLogs
from nearstream.core.replicas import Persona
from nearstream.deploy.local import LocalDeployer
from nearstream.deploy.logs import LocalLogs
from nearstream.deploy.objectstore.store import ObjectStore
from nearstream.engines.table import engine_kind
from nearstream.fleet import images
from nearstream.fleet.controller import Controller, Parts
from nearstream.fleet.pool import Pool
from nearstream.fleet.records import Records
from nearstream.fleet.specs import desired
from nearstream.frontdoor.access import Access
from nearstream.frontdoor.api import Api, served
from nearstream.frontdoor.door import FrontDoor
from nearstream.frontdoor.invocations import Invocations
from nearstream.frontdoor.listener import PLAIN, Entrance, Handler, listening
from nearstream.frontdoor.management import management
from nearstream.frontdoor.metrics import FrontDoorMetrics
from nearstream.frontdoor.objects.dispatch import Elsewhere, Objects
from nearstream.frontdoor.relay import Relay
from nearstream.frontdoor.upstream.client import Upstreams
from nearstream.frontdoor.view import SiteView
from nearstream.home.keys import Credentials, Keys
from nearstream.home.paths import Home
from nearstream.home.sessions import Sessions
from nearstream.services.ecr import service as ecr
from nearstream.services.iam import service as iam
from nearstream.services.logs import service as logs
from nearstream.services.runtime import service as runtime
from nearstream.services.runtime.invocations import Runtime
from nearstream.services.sagemaker import service as sagemaker
from nearstream.services.sts import service as sts
from nearstream.tasks import alongside
from nearstream.wire.aws.credentials import Lookup
from nearstream.wire.aws.sigv4 import Verifier

STOP_GRACE_S = 10.0
GLOBAL_SERVICES = frozenset({"iam", "sts"})
"""Services that AWS's clients may sign for another region than their own."""

clock = time.time  # noqa: TID251  # tells dates; everything else is handed it
monotonic = time.monotonic
"""Tells durations: it never goes back, and all processes of one boot share it."""


@dataclass(frozen=True, slots=True)
class SiteParts:
    """What differs between kinds of sites. `wake` is set when a replica changes its state."""

    store: Records
    deployer: Deployer
    pool: Pool
    upstreams: Upstreams
    keys: Lookup
    sessions: Sessions
    logs: ReplicaLogs
    wake: asyncio.Event
    objects: Objects | None = None
    entrance: Entrance = PLAIN
    wrapped: Callable[[Handler], Handler] = lambda handler: handler
    """Put around the front door's handler."""
    grace_s: float = STOP_GRACE_S


@asynccontextmanager
async def site(settings: Settings, home: Home, credentials: Credentials) -> AsyncIterator[None]:
    """A whole site: front door, control plane, replicas. Leaving it stops the replicas; a crash leaves them.

    Raises Unusable for a port, a database or a folder that cannot be used.
    """
    from nearstream.fleet.store import Store  # noqa: PLC0415 - SQLAlchemy takes longest of all to import

    engine_kind(settings.engine)  # one that is not there is refused now, and not by each replica
    wake = asyncio.Event()
    environment = replica_environment(settings, home.path, _aliases(settings))
    deployer = LocalDeployer(home.path, environment=environment, clock=monotonic, notify=wake.set)
    pool = Pool(random=random.random, clock=monotonic)
    account = Account(credentials.account, credentials.region)
    sessions = Sessions(home.sessions_file, clock)
    keys = lookup(Keys(credentials, home.keys_file), sessions, account)
    async with (
        Store.open(settings.database or home.database) as store,
        Upstreams() as upstreams,
        _objects(settings, home, keys, account.region) as objects,
        entrance(settings, home) as way_in,
        deployer,
    ):
        parts = SiteParts(
            store=store,
            deployer=deployer,
            pool=pool,
            upstreams=upstreams,
            keys=keys,
            sessions=sessions,
            logs=replica_logs(home),
            wake=wake,
            objects=objects,
            entrance=way_in,
        )
        where = settings.s3_url or str(home.path / "objects")
        async with serving(settings, credentials, parts, objects_at=where):
            yield


@asynccontextmanager
async def serving(
    settings: Settings, credentials: Credentials, parts: SiteParts, *, objects_at: str
) -> AsyncIterator[None]:
    """Serve a site that is made of `parts` while the block runs, then stop its replicas. Raises Unusable."""
    account = Account(credentials.account, credentials.region)
    pool, store = parts.pool, parts.store
    desire = partial(desired, read_image=read_image, aliases=_aliases(settings))
    view = SiteView(pool, account, settings.url, version("nearstream"), objects_at, date)
    invoker = Runtime(account)
    metrics = FrontDoorMetrics()
    relay = Relay(pool, parts.upstreams, invoker, metrics)
    described = (
        sagemaker.service(store, account, clock),
        sts.service(account, parts.sessions),
        iam.service(account),
        logs.service(account, parts.logs),
        ecr.service(account, clock),
    )
    rows = await asyncio.to_thread(lambda: [served(each) for each in described])
    scopes = frozenset(each.description.signing_name for each in rows)
    verifier = Verifier(parts.keys, region=account.region, services=scopes, everywhere=GLOBAL_SERVICES)
    access = Access(verifier, clock)
    invocations = Invocations(invoker, relay, view, access)
    services = (*rows, await asyncio.to_thread(served, runtime.SERVICE, invocations.handle))
    door = FrontDoor(
        api=Api(services, access),
        access=access,
        view=view,
        metrics=metrics,
        objects=parts.objects,
        pages=page_rules(
            settings.host, settings.cors_allow_origins, (*settings.allow_hosts, *AWS_HOSTS), below=True
        ),
    )
    controller = Controller(Parts(store, parts.deployer, pool, desire, monotonic, clock), wake=parts.wake)
    await controller.refresh()
    handler = parts.wrapped(door.handle)
    async with (
        listening(
            handler, host=settings.host, port=settings.port, grace_s=parts.grace_s, entrance=parts.entrance
        ),
        _managed(
            settings, management(metrics, door.health, page_rules("127.0.0.1", (), settings.allow_hosts))
        ),
    ):
        try:
            async with alongside(controller.run()):
                yield
        finally:
            await parts.deployer.stop_all(grace_s=parts.grace_s)


def date(at: float) -> float:
    """Seconds since the epoch at a time of the monotonic clock."""
    return clock() - (monotonic() - at)


def _aliases(settings: Settings) -> tuple[tuple[str, str], ...]:
    """The configured model is never replaced, whatever the patterns of aliases match."""
    return (*settings.aliases, (settings.model, settings.model))


def _managed(settings: Settings, handler: Handler) -> AbstractAsyncContextManager[None]:
    """The management port, which only this machine reaches, where there is to be one."""
    if settings.management_port is None:
        return nullcontext()
    return listening(handler, host="127.0.0.1", port=settings.management_port, flag="--management-port")


@asynccontextmanager
async def _objects(settings: Settings, home: Home, keys: Lookup, region: str) -> AsyncIterator[Objects]:
    """The S3 side of the front door, and the site's own store unless the objects lie elsewhere."""
    sides = partial(Objects, lookup=keys, clock=clock, hosts=s3_names(settings.host, region))
    if settings.s3_url is not None:
        yield sides(Elsewhere(settings.s3_url))
        return
    async with ObjectStore(home.path / "objects", clock=clock) as store:
        yield sides(store)


def read_image(uri: str) -> tuple[Persona, str]:
    """The model server that an image URI means, and its version where the tag says it."""
    read = images.parse(uri)
    return read.persona, read.version


async def stop_left(home: Home) -> int:
    """End the replicas that a home's front door left behind; how many."""
    async with LocalDeployer(home.path, environment={}, clock=monotonic) as deployer:
        return await deployer.stop_all(grace_s=STOP_GRACE_S)


def replica_logs(home: Home) -> ReplicaLogs:
    """What the replicas of a home wrote, whether or not its site runs."""
    return LocalLogs(home.logs)
