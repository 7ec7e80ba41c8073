"""A whole site with a real model, for programs and tests without asyncio."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from nearstream.client.loop_thread import LoopThread
from nearstream.client.targets import SageMakerEndpoint
from nearstream.site import Site


class SiteInThread:
    """nearstream.Site in a thread of its own: it runs from here until it is closed, or the `with` block left.

        with SiteInThread(model="builtin") as site, nearstream.Client(site.target()) as client:
            print(client.chat("Hello!").read())

    Takes and raises what Site does.
    """

    endpoint = Site.endpoint
    """The name of the endpoint that runs `model`."""

    def __init__(
        self,
        *,
        home: Path | str | None = None,
        port: int = 0,
        model: str = "builtin",
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self._thread = LoopThread("nearstream-site")
        try:
            site = Site(home=home, port=port, model=model, aliases=aliases)
            self._address = self._thread.hold(site).address
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the site; safe to call twice."""
        self._thread.close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._address.url

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which boto3 and SageMakerEndpoint.from_environment find it."""
        return self._address.environment

    def target(self, endpoint: str = Site.endpoint) -> SageMakerEndpoint:
        """One of its endpoints, for Client and AsyncClient."""
        return self._address.target(endpoint)

    def boto3(self, service: str, **options: Any) -> Any:  # noqa: ANN401 - boto3's clients have no type
        """A boto3 client of it; `options` are those of boto3.client."""
        return self._address.boto3(service, **options)
