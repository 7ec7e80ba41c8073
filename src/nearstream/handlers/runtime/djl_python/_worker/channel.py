"""The process's end of the socket: frames out from any thread, frames in from a thread of its own.

That thread sees the server end also while the user's code is busy, and ends the process then.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import Any, Callable

from .frames import Frame, FrameReader, encode, encode_json

_READ_BYTES = 1 << 18
_FAREWELL_S = 1.0


class Channel:
    """Frames to and from the server."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._reader = FrameReader()
        self._sending = threading.Lock()

    def send(self, kind: int, call: int = 0, load: bytes | bytearray = b"") -> None:
        """Send a frame of bytes; a server that is gone does not get it."""
        self._write(encode(kind, call, load))

    def send_json(self, kind: int, call: int, document: Any) -> None:
        """Send a frame of JSON."""
        self._write(encode_json(kind, call, document))

    def first(self) -> Frame:
        """The first frame, which comes alone. Raises EOFError when the server is gone."""
        while True:
            frames = self._read()
            if frames:
                return frames[0]

    def listen(self, on_frame: Callable[[Frame], None], on_end: Callable[[], None]) -> None:
        """Hand over every frame that follows, and then the end, in a thread of its own.

        The process is ended a moment after `on_end`, whatever it does.
        """
        threading.Thread(target=self._run, args=(on_frame, on_end), name="channel", daemon=True).start()

    def _run(self, on_frame: Callable[[Frame], None], on_end: Callable[[], None]) -> None:
        try:
            while True:
                for frame in self._read():
                    on_frame(frame)
        except EOFError:
            on_end()
        time.sleep(_FAREWELL_S)
        os._exit(0)

    def _read(self) -> list[Frame]:
        try:
            data = self._sock.recv(_READ_BYTES)
        except ConnectionError:
            data = b""
        if not data:
            raise EOFError
        return self._reader.feed(data)

    def _write(self, data: bytes) -> None:
        try:
            with self._sending:
                self._sock.sendall(data)
        except ConnectionError:
            pass  # the thread that reads sees it, too, and ends the process
