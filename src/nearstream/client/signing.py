"""AWS's signatures on a client's calls, Version 4."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SigningKeys

SERVICE = "sagemaker"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The key that calls are signed with. Its text shows no secret."""

    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"
    session_token: str | None = field(default=None, repr=False)


def signed(
    method: str, url: str, body: bytes, headers: Mapping[str, str], credentials: Credentials
) -> dict[str, str]:
    """The headers of a call to SageMaker, its signature among them; good for a few minutes."""
    keys = SigningKeys(credentials.access_key, credentials.secret_key, credentials.session_token)
    request = AWSRequest(method, url, headers=dict(headers), data=body)
    SigV4Auth(keys, SERVICE, credentials.region).add_auth(request)
    return dict(request.headers.items())
