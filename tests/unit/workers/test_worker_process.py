"""A child process over a socket pair: what it sends and prints, how it ends, and that nothing outlives it."""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import dataclass, field
from functools import partial

import psutil
import pytest
from tests.support.waiting import eventually, until

from nearstream.workers.frames import framed
from nearstream.workers.process import Exit, Program, WorkerProcess

ECHO = """
import socket, sys
from nearstream.workers.frames import FrameReader, framed
from nearstream.workers.inside import Inbox, run_worker

def serve(sock):
    inbox = Inbox(sock, FrameReader(bytes))
    while True:
        for body in inbox.read(wait=True):
            sock.sendall(framed(body[::-1]))

run_worker(serve)
"""
LAST_WORDS = "import socket, sys; sock = socket.socket(fileno=int(sys.argv[-1])); "
SPEAKS_AND_ENDS = (
    LAST_WORDS
    + """
sock.sendall(len(b'x' * 3_000_000).to_bytes(4, 'big') + b'x' * 3_000_000)
print('out'); print('no library', file=sys.stderr); sys.exit(3)
"""
)
CLOSES_ITS_END = LAST_WORDS + "sock.close(); import time; time.sleep(60)"
LEAVES_A_CHILD = """
import subprocess, sys
print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid, flush=True)
"""
NEVER_ENDS = """
import time
while True: time.sleep(60)
"""


@dataclass
class Heard:
    """A listener that remembers."""

    frames: list[bytes] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    events: list[str | Exit] = field(default_factory=list)

    def received(self, frame: bytes) -> None:
        self.frames.append(frame)

    def printed(self, stream: str, line: str) -> None:
        self.lines.append((stream, line))

    def disconnected(self) -> None:
        self.events.append("disconnected")

    def ended(self, end: Exit) -> None:
        self.events.append(end)


def ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def started(script: str, heard: Heard, *, end_wait_s: float = 5.0) -> WorkerProcess[bytes]:
    process = WorkerProcess(Program((sys.executable, "-c", script), end_wait_s=end_wait_s), heard, bytes)
    await process.start()
    return process


async def test_it_answers_until_its_socket_is_closed_and_ends_then():
    heard = Heard()
    process = await started(ECHO, heard)
    process.send(framed(b"abc") + framed(b""))
    await until(lambda: len(heard.frames) == 2)
    assert heard.frames == [b"cba", b""]
    assert await process.end() == await process.end() == Exit(0)
    assert heard.events == ["disconnected", Exit(0)] and process.gone


async def test_all_that_it_sent_and_printed_is_heard_before_its_end():
    heard = Heard()
    process = await started(SPEAKS_AND_ENDS, heard)
    assert (await process.ended()).how == "ended with status 3"
    assert [len(frame) for frame in heard.frames] == [3_000_000]
    assert sorted(heard.lines) == [("stderr", "no library"), ("stdout", "out")]
    assert heard.events == ["disconnected", Exit(3)]


async def test_one_that_closed_its_socket_and_runs_on_is_killed():
    heard = Heard()
    process = await started(CLOSES_ITS_END, heard, end_wait_s=0.05)
    end = await process.ended()
    assert (end.status, end.why) == (-signal.SIGKILL, "it closed its end of the socket")


async def test_one_that_does_not_end_is_killed_and_the_kernels_killing_is_named():
    process = await started(NEVER_ENDS, Heard(), end_wait_s=0.05)
    assert (await process.end()).why
    process = await started(NEVER_ENDS, Heard())
    psutil.Process(process.pid).kill()
    end = await process.ended()
    assert (end.why, end.how) == ("", "was ended by SIGKILL (often for want of memory)")


async def test_what_it_started_ends_with_it():
    heard = Heard()
    process = await started(LEAVES_A_CHILD, heard)
    assert (await process.ended()).status == 0
    child = int(heard.lines[0][1])
    await until(lambda: ended(child))


async def test_killing_one_that_ended_already_is_no_error():
    """The system may know of its end before we do."""
    for _ in range(20):
        process = await started("", Heard())
        eventually(partial(ended, process.pid), "the process ends")  # and our loop stands still
        process.kill("it did not load")
        assert await process.ended() == Exit(0)
        process.kill("once more")


async def test_a_program_that_is_not_there_is_an_error_at_once():
    process = WorkerProcess(Program(("/no/such/program",)), Heard(), bytes)
    with pytest.raises(FileNotFoundError):
        async with asyncio.timeout(10):
            await process.start()
