"""Where a site of this machine listens, and how its clients reach it."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearstream.client.signing import Credentials
from nearstream.client.targets import SageMakerEndpoint

if TYPE_CHECKING:
    from botocore.config import Config


@dataclass(frozen=True, slots=True)
class SiteAddress:
    """Where a site listens, and the key that its clients sign with."""

    url: str
    credentials: Credentials
    ca_bundle: Path | None = None
    """Authorities to trust; None: the site speaks plain HTTP."""

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which boto3 and SageMakerEndpoint.from_environment find the site."""
        trust = {} if self.ca_bundle is None else {"AWS_CA_BUNDLE": str(self.ca_bundle)}
        return trust | {
            "AWS_ACCESS_KEY_ID": self.credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": self.credentials.secret_key,
            "AWS_REGION": self.credentials.region,
            "AWS_DEFAULT_REGION": self.credentials.region,
            "AWS_ENDPOINT_URL": self.url,
        }

    def target(self, endpoint: str) -> SageMakerEndpoint:
        """One of its endpoints, for Client and AsyncClient."""
        return SageMakerEndpoint(endpoint, self.credentials, self.url, self.ca_bundle)

    def boto3(self, service: str, *, config: Config | None = None, **options: Any) -> Any:  # noqa: ANN401 - boto3's clients have no type
        """A boto3 client of the site; `options` are those of boto3.client."""
        import boto3  # noqa: PLC0415 - who makes no such client does not wait for it

        session = boto3.session.Session(
            aws_access_key_id=self.credentials.access_key,
            aws_secret_access_key=self.credentials.secret_key,
            region_name=self.credentials.region,
        )
        if self.ca_bundle is not None:
            options.setdefault("verify", str(self.ca_bundle))
        return session.client(service, endpoint_url=self.url, config=config, **options)


def free_port() -> int:
    """Another program may take it before it is used: who binds it has to try again then."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
