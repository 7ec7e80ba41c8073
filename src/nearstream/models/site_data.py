"""Brings a model server the data of its model: from the S3 of the site that it belongs to, or another."""

from __future__ import annotations

from pathlib import Path

import structlog

from nearstream.config.settings import Settings
from nearstream.core.errors import Missing, Unusable
from nearstream.home.paths import Home
from nearstream.models.archives import GIB, Bounds
from nearstream.models.artifacts import Places, model_data
from nearstream.models.objects import Access

_log = structlog.get_logger(__name__)


async def fetched(url: str, deployment: str, settings: Settings, *, unpacked: bool = True) -> Path:
    """The folder of the model at `url`, the same for all of one `deployment`. Raises Unfit and Unusable.

    Not `unpacked`: an archive lies in it as it is.
    """
    home = Home(settings.home)
    return await model_data(
        url,
        access=_access(settings, home, url),
        places=Places(home.cache, home.path / "deployments"),
        pin=deployment,
        bounds=Bounds(total_bytes=settings.model_data_gib * GIB, unpacks=unpacked),
        progress=lambda text: _log.info("preparing the model's data", progress=text),
    )


def _access(settings: Settings, home: Home, url: str) -> Access:
    """The other S3 if one is set, else the site's own. Raises Unusable when no site runs."""
    if settings.s3_url is not None:
        return Access(settings.s3_url, settings.region)
    try:
        credentials, running = home.credentials(), home.running()
    except Missing as error:
        raise Unusable(f"{url} cannot be fetched: {error}") from error
    if running is None:
        raise Unusable(
            f"{url} cannot be fetched: no front door runs on {home.path}. Start one with `nearstream up`, or "
            "name another S3 with NEARSTREAM_S3_URL."
        )
    trust = home.bundle_file if running.url.startswith("https:") else None
    return Access(running.url, credentials.region, credentials.access_key, credentials.secret_key, trust)
