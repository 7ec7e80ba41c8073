"""The crowd: clients that read at once and ask again, and clients that take ten bytes a second."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping

from benchmarks.token_path import load
from benchmarks.token_path.figures import Trace

SHORT, LONG = 64, 700
SIP_BYTES, SIP_S = 10, 1.0

Address = str | tuple[str, int]


# A penalty that favours repetition, so strong that no answer ends before it has the requested tokens.
ENDLESS = {"frequency_penalty": -2.0}


def short(number: int) -> bytes:
    """A stream of SHORT tokens."""
    parameters = {"max_new_tokens": SHORT, **ENDLESS}
    asked = {"inputs": f"Question {number}: Tell me a story.\nAnswer:", "parameters": parameters}
    return _post("/generate_stream", asked)


def long(number: int) -> bytes:
    """A stream of LONG tokens in large events: more than the buffers on its way can hold."""
    messages = [{"role": "user", "content": f"Question {number}: Tell me a story."}]
    asked = {"model": "builtin", "messages": messages, "stream": True, "max_tokens": LONG, "logprobs": True}
    return _post("/v1/chat/completions", {**asked, "temperature": 0, **ENDLESS})


def _post(path: str, asked: Mapping[str, object]) -> bytes:
    data = json.dumps(asked).encode()
    lines = (f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json")
    return "\r\n".join([*lines, f"Content-Length: {len(data)}", "", ""]).encode() + data


async def fast(address: Address, number: int, until_s: float, traces: list[Trace]) -> int:
    """Ask, read as it comes, ask again, until the loop's clock says `until_s`; how many calls went wrong."""
    clock, wrong = asyncio.get_running_loop().time, 0
    while clock() < until_s:
        number += 1
        try:
            trace = await load.one(address, short(number))
        except (OSError, RuntimeError):
            wrong += 1
            continue
        if len(trace.tokens) == SHORT:
            traces.append(trace)
        else:
            wrong += 1  # a refusal is one event
    return wrong


async def slow(address: Address, number: int, *, sip: bool) -> int:
    """Ask for a long answer and take it by sips, or as fast as it comes; the bytes taken when cancelled."""
    loop, taken = asyncio.get_running_loop(), 0
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as connection:
        if sip:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        connection.setblocking(False)
        try:
            await loop.sock_connect(connection, address)
            await loop.sock_sendall(connection, long(number))
            while came := await loop.sock_recv(connection, SIP_BYTES if sip else 1 << 16):
                taken += len(came)
                await asyncio.sleep(SIP_S if sip else 0)
        except asyncio.CancelledError:
            return taken
    return taken
