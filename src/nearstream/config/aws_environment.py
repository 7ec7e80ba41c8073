"""The variables by which AWS's clients find keys, region and address."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nearstream.core.errors import Missing


@dataclass(frozen=True, slots=True)
class AwsEnvironment:
    """What they say; `endpoint_url` is None where AWS itself is meant."""

    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"
    session_token: str | None = field(default=None, repr=False)
    endpoint_url: str | None = None
    ca_bundle: Path | None = None


def read(environ: Mapping[str, str] | None = None) -> AwsEnvironment:
    """Read them. Raises Missing, which names what is not set."""
    environ = os.environ if environ is None else environ

    def first(*names: str) -> str | None:
        return next((environ[name] for name in names if environ.get(name)), None)

    access_key, secret_key = first("AWS_ACCESS_KEY_ID"), first("AWS_SECRET_ACCESS_KEY")
    region = first("AWS_REGION", "AWS_DEFAULT_REGION")
    if access_key is None or secret_key is None or region is None:
        raise Missing(
            "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION have to be set;"
            ' for a site on this machine: eval "$(nearstream env)"'
        )
    ca_bundle = first("AWS_CA_BUNDLE")
    return AwsEnvironment(
        access_key,
        secret_key,
        region,
        first("AWS_SESSION_TOKEN"),
        first("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "AWS_ENDPOINT_URL"),
        Path(ca_bundle) if ca_bundle else None,
    )
