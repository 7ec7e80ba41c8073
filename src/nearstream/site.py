"""A whole site inside a Python program."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

import aiohttp

from nearstream.client import assistant
from nearstream.client.async_client import DEFAULT_LIMITS, DEFAULT_RETRIES, AsyncClient
from nearstream.client.control_plane import ControlPlane
from nearstream.client.limits import Retries, TimeLimits
from nearstream.client.signing import Credentials
from nearstream.client.site_address import SiteAddress, free_port
from nearstream.client.trust import connector
from nearstream.compose.site import site
from nearstream.config.settings import Settings, load
from nearstream.core.errors import Unusable
from nearstream.home.paths import Home
from nearstream.models.resolve import check_local
from nearstream.telemetry import logs

_TRIES: Final = 5


class Site:
    """A site in this program and its event loop, with the endpoint `assistant`; replicas are processes.

        async with nearstream.Site(model="builtin") as site:
            async with site.client() as client:
                print(await client.chat("Hello!").read())

    `home` keeps keys, state and logs; without it they are gone when the site ends. `port` 0 takes a free one.
    `model` is what the endpoint runs: "builtin", a folder, a .gguf file or an id of the Hugging Face hub;
    `aliases` maps model ids that code asks for to those that run. Entering returns when the endpoint is in
    service; leaving stops all. Raises Unusable for a model, a port or a folder that cannot be used, Conflict
    for a home that another site runs on.
    """

    endpoint: Final = assistant.NAME
    """The name of the endpoint that runs `model`."""

    def __init__(
        self,
        *,
        home: Path | str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        model: str = "builtin",
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self._home = home
        self._flags = {"host": host, "model": model, "aliases": aliases}
        self._port = port
        self._stack = AsyncExitStack()
        self._address: SiteAddress | None = None

    async def __aenter__(self) -> Self:
        """Start, and return once the endpoint is in service."""
        logs.to_logging()
        async with AsyncExitStack() as stack:
            path = self._home or stack.enter_context(tempfile.TemporaryDirectory(prefix="nearstream-"))
            settings = load({**self._flags, "home": path})
            check_local(settings.model)
            home = Home(settings.home)
            home.create()
            self._address = await stack.enter_async_context(_running(settings, home, self._port))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._address = None
        await self._stack.aclose()

    @property
    def address(self) -> SiteAddress:
        """Where it listens and how calls are signed. Raises Unusable before it is entered."""
        if self._address is None:
            raise Unusable("the site does not run: use it in `async with`")
        return self._address

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.address.url

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which boto3 and SageMakerEndpoint.from_environment find it."""
        return self.address.environment

    def client(
        self,
        endpoint: str = assistant.NAME,
        *,
        limits: TimeLimits = DEFAULT_LIMITS,
        retries: Retries = DEFAULT_RETRIES,
    ) -> AsyncClient:
        """A client of one of its endpoints."""
        return AsyncClient(self.address.target(endpoint), limits=limits, retries=retries)

    def boto3(self, service: str, **options: Any) -> Any:  # noqa: ANN401 - boto3's clients have no type
        """A boto3 client of it. Its calls block: make them in a thread (asyncio.to_thread)."""
        return self.address.boto3(service, **options)


@asynccontextmanager
async def _running(settings: Settings, home: Home, port: int) -> AsyncIterator[SiteAddress]:
    async with AsyncExitStack() as stack:
        for tries_left in range(0 if port else _TRIES - 1, -1, -1):
            tried = replace(settings, port=port or free_port())
            async with AsyncExitStack() as trying:
                try:
                    trying.enter_context(home.lock(tried.url))
                    own = home.ensure_credentials(tried.region)
                    await trying.enter_async_context(site(tried, home, own))
                except Unusable:
                    if not tries_left:
                        raise
                    continue
                await stack.enter_async_context(trying.pop_all())
                break
        keys = Credentials(own.access_key, own.secret_key, own.region)
        trust = home.bundle_file if tried.tls else None
        async with aiohttp.ClientSession(connector=connector(tried.url, trust)) as session:
            control = ControlPlane(tried.url, keys, session)
            await assistant.ensure(control, model=tried.model, account=own.account, region=own.region)
            await assistant.until_ready(control, lambda _: None)
        yield SiteAddress(tried.url, keys, trust)
