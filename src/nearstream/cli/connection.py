"""The way a command reaches the running front door."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from nearstream.client.async_client import AsyncClient
from nearstream.client.control_plane import ControlPlane
from nearstream.client.limits import ONCE, TimeLimits
from nearstream.client.signing import Credentials
from nearstream.client.targets import SageMakerEndpoint
from nearstream.client.trust import connector
from nearstream.core.errors import Missing, Unreachable
from nearstream.home.paths import Home

# A person waits and can interrupt; a cold model may take long.
PATIENT: Final = TimeLimits(first_byte_s=300, between_tokens_s=300, total_s=None)


@asynccontextmanager
async def connect(home: Home) -> AsyncIterator[ControlPlane]:
    """A client of the front door that runs on this home. Raises Missing when none does."""
    own = home.credentials()
    running = home.running()
    if running is None:
        raise Missing(f"nearstream is not running on {home.path}: start it with `nearstream up`.")
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=300)
    trusting = connector(running.url, home.bundle_file)
    async with aiohttp.ClientSession(timeout=timeout, connector=trusting) as session:
        try:
            yield ControlPlane(running.url, Credentials(own.access_key, own.secret_key, own.region), session)
        except aiohttp.ClientConnectorError as error:
            raise Missing(f"The front door at {running.url} does not answer: {error.strerror}.") from error


@asynccontextmanager
async def connect_endpoint(home: Home, endpoint: str) -> AsyncIterator[AsyncClient]:
    """A client of one of its endpoints, its connection open. Raises Missing when no front door runs."""
    target = SageMakerEndpoint.from_home(endpoint, home.path)
    async with AsyncClient(target, limits=PATIENT, retries=ONCE) as client:
        try:
            # Opens the connection and loads what a first call does: a measured one should not pay for it.
            await client.warm_up()
        except Unreachable as error:
            raise Missing(f"The front door at {target.url} does not answer: {error}.") from error
        yield client
