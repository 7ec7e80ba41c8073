"""Connections to replicas: one pooled HTTP client for each replica's Unix socket."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from types import TracebackType
from typing import Self

import aiohttp

from nearstream.core.replicas import Replica

READ_BUFFER_BYTES = 256 * 1024
# Events are joined until their HTTP chunk ends; one larger than this is passed on in pieces.
EVENT_BYTES = 1024 * 1024
CONNECT_TIMEOUT_S = 2.0


class ReplicaGone(Exception):
    """A replica could not be reached, or went away before its answer was whole."""


class Upstreams:
    """Sessions to replicas, opened at first use and kept until the replica is forgotten."""

    def __init__(self) -> None:
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for replica_id in tuple(self._sessions):
            await self.forget(replica_id)

    async def post(
        self, replica: Replica, path: str, body: bytes, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        """The head of a replica's answer; the caller leaves it with `async with`. Raises ReplicaGone."""
        try:
            return await self._session(replica).post(f"http://replica{path}", data=body, headers=headers)
        except (aiohttp.ClientError, OSError) as error:
            raise ReplicaGone(str(error)) from error

    async def forget(self, replica_id: str) -> None:
        """Close the connections to a replica that is gone."""
        session = self._sessions.pop(replica_id, None)
        if session is not None:
            await session.close()

    def _session(self, replica: Replica) -> aiohttp.ClientSession:
        session = self._sessions.get(replica.id)
        if session is None:
            session = self._sessions[replica.id] = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(path=replica.socket, limit=0),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
                read_bufsize=READ_BUFFER_BYTES,
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept-Encoding"),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return session


async def events(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    """The replica's answer, one item for each HTTP chunk it flushed, as it comes. Raises ReplicaGone."""
    held = b""
    try:
        async for data, complete in response.content.iter_chunks():
            if complete or len(held) + len(data) > EVENT_BYTES:
                piece, held = (held + data if held else data), b""
                if piece:
                    yield piece
            else:
                held += data
    except (aiohttp.ClientError, OSError) as error:
        raise ReplicaGone(str(error)) from error
    if held:
        yield held
