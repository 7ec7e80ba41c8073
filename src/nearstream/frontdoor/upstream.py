"""Connections to replicas: one pooled HTTP client for each replica's Unix socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import aiohttp

from nearstream.core.replicas import Replica

READ_BUFFER_BYTES = 256 * 1024
# Events are joined until their HTTP chunk ends; one larger than this is passed on in pieces.
EVENT_BYTES = 1024 * 1024


class Upstreams:
    """Sessions to replicas, opened at first use and kept until the replica is forgotten."""

    def __init__(self) -> None:
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    @asynccontextmanager
    async def post(
        self, replica: Replica, path: str, body: bytes, headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """POST to a replica; raises aiohttp.ClientError when it cannot be reached or goes away."""
        async with self._session(replica).post(f"http://replica{path}", data=body, headers=headers) as response:
            yield response

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
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=2.0),
                read_bufsize=READ_BUFFER_BYTES,
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept-Encoding"),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return session


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The replica's answer, one item for each HTTP chunk it flushed, as it comes."""
    held = b""
    async for data, complete in response.content.iter_chunks():
        if complete or len(held) + len(data) > EVENT_BYTES:
            piece, held = (held + data if held else data), b""
            if piece:
                yield piece
        else:
            held += data
    if held:
        yield held
