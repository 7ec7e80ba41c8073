"""The worker's loop over a real socket, with a batch that only counts."""

from __future__ import annotations

import socket
import threading
from typing import Any, cast

import pytest

from nearstream.engines.openvino.frames import (
    Advance,
    Cancel,
    Options,
    Stepped,
    Submit,
    decode_from_worker,
    decode_to_worker,
    encode,
)
from nearstream.engines.openvino.worker import serve
from nearstream.workers.frames import FrameReader
from nearstream.workers.inside import Inbox


class Counting:
    """Says 1, 2, 3 … for each request until it is cancelled."""

    def __init__(self) -> None:
        self.said: dict[int, int] = {}
        self.ended: list[int] = []

    @property
    def busy(self) -> bool:
        return bool(self.said or self.ended)

    def take(self, frame: Submit | Cancel) -> None:
        if isinstance(frame, Submit):
            self.said[frame.id] = 0
        else:
            del self.said[frame.id]
            self.ended.append(frame.id)

    def step(self) -> list[Stepped]:
        advances = [Advance(held, (), (), "cancelled") for held in self.ended]
        self.ended.clear()
        for held in self.said:
            self.said[held] += 1
            advances.append(Advance(held, (self.said[held],), (0.0,), None))
        return [Stepped(advances)]


@pytest.fixture
def ours():
    ours, theirs = socket.socketpair()

    def run() -> None:
        # Closed while it wrote or while it read: it ends either way.
        with theirs, pytest.raises((EOFError, ConnectionError)):
            serve(theirs, Inbox(theirs, FrameReader(decode_to_worker)), cast(Any, Counting()))

    thread = threading.Thread(target=run)
    thread.start()
    with ours:
        ours.settimeout(10)
        yield ours
        ours.shutdown(socket.SHUT_RDWR)
    thread.join(10)
    assert not thread.is_alive()


def advances(sock: socket.socket):
    reader = FrameReader(decode_from_worker)
    while True:
        frames: list[Any] = list(reader.feed(sock.recv(4096)))
        for frame in frames:
            yield from frame.advances


def test_an_idle_worker_takes_a_request_and_steps_until_it_is_cancelled(ours):
    ours.sendall(encode(Submit(1, b"", Options(9))))
    stream = advances(ours)
    assert [next(stream).token_ids for _ in range(3)] == [(1,), (2,), (3,)]
    ours.sendall(encode(Cancel(1)))
    assert next(step for step in stream if step.ending).ending == "cancelled"


def test_a_request_joins_between_steps(ours):
    ours.sendall(encode(Submit(1, b"", Options(9))))
    stream = advances(ours)
    next(stream)
    ours.sendall(encode(Submit(2, b"", Options(9))))
    assert next(step for step in stream if step.id == 2).token_ids == (1,)
