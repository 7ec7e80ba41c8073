"""One call's passage to a server on a Unix socket of this machine: both ways at once, of any size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from multidict import CIMultiDict

from nearstream.core.errors import Invalid
from nearstream.wire.aws.claim import RawRequest
from nearstream.wire.framing.http1 import Head, ResponseReader

READ_BYTES: Final = 256 * 1024
CONNECT_AGAIN_S: Final = 0.05
_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
_CONTINUE: Final = 100
_WITHOUT_BODY: Final = (204, 304)


class PassageBroken(Exception):
    """The server could not be reached, or went away before its answer was whole."""


class Passage:
    """A connection that carries one call. `head` is the answer's, once `answered` has returned."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._answer = ResponseReader()
        self._early: list[bytes] = []
        self._invited = asyncio.Event()

    @property
    def head(self) -> Head:
        assert self._answer.head is not None  # noqa: S101  # `answered` returned
        return self._answer.head

    @property
    def headers(self) -> CIMultiDict[str]:
        """The answer's headers for whoever is told next: without those of this connection and the length."""
        dropped = _HOP | {"content-length"}
        return CIMultiDict(pair for pair in self.head.headers.items() if pair[0].lower() not in dropped)

    async def send(self, call: RawRequest, body: AsyncGenerator[bytes], invite: Callable[[], None]) -> None:
        """The call's head as it is, then `body`; where the client waits for it, once the server invites it.

        A body that is withheld breaks the connection, so that the server takes none of it.
        """
        names = {name.lower(): value.lower() for name, value in call.headers}
        chunked = "chunked" in names.get("transfer-encoding", "")
        try:
            self._writer.write(_head(call, chunked=chunked))
            if names.get("expect") == "100-continue":
                await self._invited.wait()
                invite()
            async for piece in body:
                self._writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                await self._writer.drain()
            if chunked:
                self._writer.write(b"0\r\n\r\n")
        except BodyWithheld:
            self._writer.transport.abort()
        except OSError:
            pass  # the server wants no more of the body: its answer says why

    async def answered(self) -> None:
        """Returns when the answer's head came. Raises PassageBroken."""
        while True:
            while self._answer.head is None:
                self._early = await self._fed()
            if self.head.status != _CONTINUE:
                return
            self._invited.set()
            rest, self._answer = b"".join(self._early), ResponseReader()
            self._early = self._answer.feed(rest)

    async def pieces(self, *, head_only: bool) -> AsyncIterator[bytes]:
        """The answer's body as it comes; none where the call was HEAD. Raises PassageBroken."""
        if head_only or self.head.status in _WITHOUT_BODY:
            return
        for piece in self._early:
            yield piece
        while not self._answer.done:
            for piece in await self._fed():
                yield piece

    async def _fed(self) -> list[bytes]:
        try:
            data = await self._reader.read(READ_BYTES)
            if data:
                return self._answer.feed(data)
            self._answer.end()
            if self._answer.head is None:
                raise PassageBroken("the server closed the connection")
        except (OSError, Invalid) as error:
            raise PassageBroken(str(error)) from error
        return []


class BodyWithheld(Exception):
    """What the body's source raises when the rest of it must not be sent."""


@asynccontextmanager
async def passage(socket: str, *, wait_s: float) -> AsyncIterator[Passage]:
    """A new connection within `wait_s`; leaving the block closes it at once. Raises PassageBroken."""
    deadline = asyncio.get_running_loop().time() + wait_s
    while True:
        try:
            reader, writer = await asyncio.open_unix_connection(socket)
            break
        except OSError as error:
            if asyncio.get_running_loop().time() > deadline:
                raise PassageBroken(f"{socket} does not answer: {error.strerror}") from error
            await asyncio.sleep(CONNECT_AGAIN_S)
    try:
        yield Passage(reader, writer)
    finally:
        writer.transport.abort()


def _head(call: RawRequest, *, chunked: bool) -> bytes:
    target = f"{call.path}?{call.query}" if call.query else call.path
    # Not `Connection: close`: Go's server would not read a small body to its end before it answers.
    lines = [f"{call.method} {target} HTTP/1.1"]
    lines += ["Transfer-Encoding: chunked"] if chunked else []
    lines += [f"{name}: {value}" for name, value in call.headers if name.lower() not in _HOP]
    return "\r\n".join([*lines, "", ""]).encode(errors="surrogateescape")
