"""Asks a replica how it is: `GET /ping`."""

from __future__ import annotations

from enum import Enum, auto

import aiohttp

from nearstream.core.replicas import Address, UnixSocket
from nearstream.descriptors import is_shortage

# The container contract: an answer within two seconds.
PING_TIMEOUT_S = 2.0
_OK = 200


class Health(Enum):
    """WELL answers 200; UNWELL answers otherwise, or nobody listens; SILENT takes too long to answer.

    UNKNOWN: this process had no descriptor or memory left to ask with, which says nothing of the replica.
    """

    WELL = auto()
    UNWELL = auto()
    SILENT = auto()
    UNKNOWN = auto()


async def ping(address: Address, *, timeout_s: float = PING_TIMEOUT_S) -> Health:
    """One question; never raises."""
    connector = aiohttp.UnixConnector(address.path) if isinstance(address, UnixSocket) else None
    url = f"http://{'replica' if connector else address}/ping"
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector, timeout=aiohttp.ClientTimeout(total=timeout_s)
            ) as session,
            session.get(url) as response,
        ):
            return Health.WELL if response.status == _OK else Health.UNWELL
    except TimeoutError:
        return Health.SILENT
    except (aiohttp.ClientError, OSError, MemoryError) as error:
        return Health.UNKNOWN if is_shortage(error) else Health.UNWELL
