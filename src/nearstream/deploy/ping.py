"""Asks a replica how it is: `GET /ping` on its Unix socket."""

from __future__ import annotations

from enum import Enum, auto

import aiohttp

# The container contract: an answer within two seconds.
PING_TIMEOUT_S = 2.0
_OK = 200


class Health(Enum):
    """WELL answers 200; UNWELL answers otherwise, or nobody listens; SILENT takes too long to answer."""

    WELL = auto()
    UNWELL = auto()
    SILENT = auto()


async def ping(socket: str, *, timeout_s: float = PING_TIMEOUT_S) -> Health:
    """One question; never raises."""
    try:
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(socket), timeout=aiohttp.ClientTimeout(total=timeout_s)
            ) as session,
            session.get("http://replica/ping") as response,
        ):
            return Health.WELL if response.status == _OK else Health.UNWELL
    except TimeoutError:
        return Health.SILENT
    except (aiohttp.ClientError, OSError):
        return Health.UNWELL
