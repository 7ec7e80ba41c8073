"""Which authorities a client believes: those of its machine, and those of a file."""

from __future__ import annotations

import ssl
from pathlib import Path

import aiohttp

from nearstream.core.errors import Unusable


def connector(url: str, ca_bundle: Path | None) -> aiohttp.TCPConnector:
    """Connections to `url`. Raises Unusable for a file that holds no certificates."""
    if ca_bundle is None or not url.startswith("https:"):
        return aiohttp.TCPConnector(limit=0)
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=ca_bundle)
    except OSError as error:
        raise Unusable(
            f"The certificates in {ca_bundle} cannot be used: {error.strerror or error}."
        ) from error
    return aiohttp.TCPConnector(limit=0, ssl=context)
