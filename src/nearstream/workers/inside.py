"""What runs in a worker of ours: its end of the socket, and its end when the other one is closed."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, NoReturn, TypeVar

from nearstream.workers.frames import FrameReader, framed

_READ_BYTES = 1 << 20
_PR_SET_PDEATHSIG = 1
OUT_OF_MEMORY = 70
"""The exit status of a bounded worker whose memory ran out."""
OUT_OF_TIME = -signal.SIGPROF
"""The exit status of a bounded worker that took more of a processor's time than a call may."""

Frame = TypeVar("Frame")


class Inbox(Generic[Frame]):
    """The frames that have come on the socket."""

    def __init__(self, sock: socket.socket, reader: FrameReader[Frame]) -> None:
        self._sock = sock
        self._reader = reader

    def read(self, *, wait: bool) -> list[Frame]:
        """Every frame that is here; with `wait`, at least one. Raises EOFError when the socket is closed."""
        frames: list[Frame] = []
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


def run_worker(serve: Callable[[socket.socket], None]) -> NoReturn:
    """Serve on the socket whose number is the last argument, until it is closed; then end at once.

    Not even a step that never ends outlives the process that started this one, where the system allows.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    sock = socket.socket(fileno=int(sys.argv[-1]))
    with suppress(EOFError, ConnectionError):
        serve(sock)
    sys.stderr.flush()
    os._exit(0)


def run_bounded(answer: Callable[[bytes], bytes]) -> NoReturn:
    """Answer each call of a `BoundedWorker` until the socket is closed.

    The first argument is the limit of its memory in bytes, the second that of a processor's time for each
    call, 0 for none. What runs out ends the process.
    """
    memory_bytes, processor_s = int(sys.argv[1]), float(sys.argv[2])
    # macOS has the limit and does not hold it.
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))

    def serve(sock: socket.socket) -> None:
        inbox = Inbox(sock, FrameReader(bytes))
        while True:
            for body in inbox.read(wait=True):
                # The signal's default action ends the process, whatever code it is in.
                signal.setitimer(signal.ITIMER_PROF, processor_s)
                try:
                    reply = framed(answer(body))
                except MemoryError:
                    sys.exit(OUT_OF_MEMORY)
                signal.setitimer(signal.ITIMER_PROF, 0)
                sock.sendall(reply)

    run_worker(serve)
