"""`nearstream invoke`: one prompt, streamed, with its TTFT and speed."""

from __future__ import annotations

import asyncio
import json as jsonlib
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated

from cyclopts import Parameter

from nearstream.cli.connection import connect_endpoint
from nearstream.cli.options import EndpointArgument, HomeOption, JsonOption, site
from nearstream.client.text_stream import AsyncTextStream

MaxNewTokens = Annotated[int, Parameter(help="Most tokens to generate.")]


@dataclass(frozen=True, slots=True)
class Measured:
    """One streamed answer and its pace, seen from the client."""

    text: str
    tokens: int
    ttft_ms: float
    tokens_per_s: float

    def __str__(self) -> str:
        return f"TTFT {self.ttft_ms:.0f} ms, {self.tokens} tokens, {self.tokens_per_s:.0f} tokens/s"


def invoke(
    endpoint: EndpointArgument,
    prompt: Annotated[str, Parameter(help="What to say to the model; - reads it from standard input.")],
    *,
    chat: Annotated[bool, Parameter(negative=(), help="Send it as a chat message, not as text.")] = False,
    max_new_tokens: MaxNewTokens = 256,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Stream an endpoint's answer to a prompt, then a line with its TTFT and tokens per second."""
    _, place = site(home)
    text = sys.stdin.read() if prompt == "-" else prompt

    async def run() -> Measured:
        async with connect_endpoint(place, endpoint) as client:
            ask = client.chat if chat else client.stream
            return await measure(ask(text, max_new_tokens=max_new_tokens), show=_silent if json else show)

    measured = asyncio.run(run())
    if json:
        print(jsonlib.dumps(asdict(measured)))
    else:
        print(f"\n\n{measured}", file=sys.stderr)


async def measure(answer: AsyncTextStream, *, show: Callable[[str], None]) -> Measured:
    """Read one answer to its end, showing each piece as it comes. Raises CallFailed."""
    first = last = 0.0
    pieces = 0
    async with answer as stream:
        async for piece in stream:
            last = time.perf_counter()
            first = first or last
            pieces += 1
            show(piece)
    tokens = stream.usage.generated_tokens or pieces
    rate = (pieces - 1) / (last - first) if last > first else 0.0
    return Measured(stream.text, tokens, (stream.ttft_s or 0.0) * 1000, rate)


def show(piece: str) -> None:
    """Write one piece of an answer to the terminal at once."""
    sys.stdout.write(piece)
    sys.stdout.flush()


def _silent(_: str) -> None:
    pass
