"""The engine's child process: `python -m nearstream.engines.openvino.worker FD`.

Reads requests from the socket between steps, steps the batches, writes what came of it. Ends when the socket
closes, so it never outlives the process that started it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from nearstream.engines.openvino.frames import (
    FrameReader,
    FromWorker,
    Load,
    ToWorker,
    Unloadable,
    encode,
    to_worker,
)
from nearstream.engines.openvino.lanes import Lanes
from nearstream.engines.openvino.recovery import reason_of

_READ_BYTES = 1 << 20


class Steppable(Protocol):
    """What the loop drives: Lanes, or a fake."""

    @property
    def busy(self) -> bool: ...

    def take(self, frame: ToWorker) -> None: ...

    def step(self) -> Sequence[FromWorker]: ...


class Inbox:
    """The frames that have come on the socket."""

    def __init__(self, sock: socket.socket, reader: FrameReader[ToWorker]) -> None:
        self._sock = sock
        self._reader = reader

    def read(self, *, wait: bool) -> list[ToWorker]:
        """Every frame that is here; with `wait`, at least one. Raises EOFError when the socket is closed."""
        frames: list[ToWorker] = []
        while True:
            block = wait and not frames
            try:
                data = self._sock.recv(_READ_BYTES, 0 if block else socket.MSG_DONTWAIT)
            except BlockingIOError:
                return frames
            except ConnectionResetError:
                raise EOFError from None
            if not data:
                raise EOFError
            frames += self._reader.feed(data)


def serve(sock: socket.socket, inbox: Inbox, batch: Steppable) -> None:
    """Step while there is work, wait while there is none. Raises EOFError when the socket is closed."""
    while True:
        for frame in inbox.read(wait=not batch.busy):
            batch.take(frame)
        if batch.busy:
            for told in batch.step():
                sock.sendall(encode(told))


def run(sock: socket.socket) -> None:
    """Load what the first frame names, tell how that went, serve."""
    inbox = Inbox(sock, to_worker())
    first, *early = inbox.read(wait=True)
    if not isinstance(first, Load) or early:
        raise TypeError("the first frame must be Load, alone")
    from nearstream.engines.openvino import pipeline  # noqa: PLC0415 - seconds of import, after the socket works

    try:
        batch, loaded = pipeline.load(first)
    except RuntimeError as error:
        sock.sendall(encode(Unloadable(reason_of(error))))
        return
    sock.sendall(encode(loaded))
    adapted = partial(pipeline.open_lane, first)
    serve(sock, inbox, Lanes(batch, adapted, pipeline.read_adapter, most=first.adapter_lanes))


def main() -> None:
    """Serve until the other end closes; then end at once, without OpenVINO's slow farewells."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sock = socket.socket(fileno=int(sys.argv[1]))
    with contextlib.suppress(EOFError, ConnectionError):
        run(sock)
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
