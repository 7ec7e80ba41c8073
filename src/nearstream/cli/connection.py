"""The way a command reaches the running front door."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from nearstream.client.sagemaker import SageMakerClient
from nearstream.core.errors import Missing
from nearstream.home.paths import Home


@asynccontextmanager
async def connect(home: Home) -> AsyncIterator[SageMakerClient]:
    """A client of the front door that runs on this home. Raises Missing when none does."""
    credentials = home.credentials()
    running = home.running()
    if running is None:
        raise Missing(f"nearstream is not running on {home.path}: start it with `nearstream up`.")
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=300)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        try:
            # Opens the connection and everything a first call loads: a measured one should not pay for it.
            async with session.get(f"{running.url}/health") as health:
                await health.read()
            yield SageMakerClient(running.url, credentials, session)
        except aiohttp.ClientConnectorError as error:
            raise Missing(f"The front door at {running.url} does not answer: {error.strerror}.") from error
