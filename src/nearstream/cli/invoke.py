"""`nearstream invoke`: one prompt, streamed, with its TTFT and speed."""

from __future__ import annotations

import asyncio
import json as jsonlib
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Annotated

import msgspec
from cyclopts import Parameter

from nearstream.cli.connection import connect
from nearstream.cli.options import EndpointArgument, HomeOption, JsonOption, site
from nearstream.client.answers import pieces
from nearstream.client.sagemaker import SageMakerClient

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
        async with connect(place) as client:
            body = (
                conversation([("user", text)], max_new_tokens) if chat else completion(text, max_new_tokens)
            )
            return await measure(client, endpoint, body, show=_silent if json else show)

    measured = asyncio.run(run())
    if json:
        print(jsonlib.dumps(asdict(measured)))
    else:
        print(f"\n\n{measured}", file=sys.stderr)


def conversation(turns: Sequence[tuple[str, str]], max_new_tokens: int) -> dict[str, object]:
    """The body of a streamed chat call: (role, content) of each turn."""
    messages = [{"role": role, "content": content} for role, content in turns]
    return {"messages": messages, "max_tokens": max_new_tokens, "stream": True}


def completion(text: str, max_new_tokens: int) -> dict[str, object]:
    """The body of a streamed call that continues a text."""
    return {"inputs": text, "parameters": {"max_new_tokens": max_new_tokens}, "stream": True}


async def measure(
    client: SageMakerClient, endpoint: str, body: dict[str, object], *, show: Callable[[str], None]
) -> Measured:
    """Stream one answer, showing each piece as it comes. Raises CallFailed."""
    texts: list[str] = []
    started = first = time.perf_counter()
    async with aclosing(pieces(client.stream(endpoint, msgspec.json.encode(body)))) as stream:
        async for piece in stream:
            if not texts:
                first = time.perf_counter()
            texts.append(piece)
            show(piece)
    spent_s = time.perf_counter() - first
    rate = (len(texts) - 1) / spent_s if len(texts) > 1 and spent_s > 0 else 0.0
    return Measured("".join(texts), len(texts), (first - started) * 1000, rate)


def show(piece: str) -> None:
    """Write one piece of an answer to the terminal at once."""
    sys.stdout.write(piece)
    sys.stdout.flush()


def _silent(_: str) -> None:
    pass
