"""What the benchmark of HTTP servers takes for a first token, for a whole answer, and for none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from benchmarks.http_server.__main__ import compare, figures
from benchmarks.http_server.client import Call, many

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
ROLE = b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'
TEXT = b'data: {"choices":[{"delta":{"content":"Once"}}]}\n\n'
LAST = b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2}}\n\n'
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@asynccontextmanager
async def answering(*parts: bytes | asyncio.Event) -> AsyncIterator[int]:
    """A server that says `parts` to every call; it waits where there is an event."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            if isinstance(part, bytes):
                writer.write(part)
                await writer.drain()
            else:
                await part.wait()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("missing", [0, 1, 12, 30])
async def test_the_first_token_is_the_first_text_wherever_the_bytes_are_cut(missing: int):
    gate, text = asyncio.Event(), chunk(TEXT)
    cut, opened = text.index(b"Once") - missing, []

    def opens() -> None:
        opened.append(time.perf_counter())
        gate.set()

    async with answering(HEAD, chunk(ROLE), text[:cut], gate, text[cut:], chunk(LAST), END) as port:
        asyncio.get_running_loop().call_later(0.02, opens)
        (call,) = await many(port, [{}], streams=1)
    assert call.made == 2
    assert call.sent < opened[0] <= call.first <= call.last


@pytest.mark.parametrize(
    "told",
    [
        (b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n",),
        (HEAD, chunk(b'data: {"error":"Model is overloaded"}\n\n'), END),
        (HEAD, chunk(TEXT), chunk(LAST)),
        (HEAD, chunk(TEXT), END),
    ],
    ids=["a refusal", "an error inside", "cut off", "no count"],
)
async def test_what_is_no_whole_answer_ends_the_run(told: tuple[bytes, ...]):
    async with answering(*told) as port:
        with pytest.raises(ExceptionGroup) as caught:
            await many(port, [{}], streams=1)
    assert "no whole answer came" in str(caught.value.exceptions[0])


def test_figures_are_over_the_whole_run_and_ratios_say_how_many_times_better_ours_are():
    ours = figures([Call(0.0, 0.010, 1.0, 50), Call(0.5, 0.510, 2.0, 50)])
    theirs = figures([Call(0.0, 0.040, 4.0, 50), Call(0.5, 0.540, 4.0, 50)])
    assert ours == pytest.approx(
        {"ttft_p50_ms": 10, "ttft_p99_ms": 10, "tokens_per_s": 50, "tokens_made": 100}
    )
    found = {(name, n): [one] for n in (1, 8, 32) for name, one in (("nearstream", ours), ("peer", theirs))}
    better = {"ttft_p50_ms": 4.0, "ttft_p99_ms": 4.0, "tokens_per_s": 2.0}
    assert compare(found) == [{"beside": "peer", "streams": n, **better} for n in (1, 8, 32)]
