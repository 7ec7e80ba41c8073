"""However the network cuts a served stream, its readers make the same of it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import msgspec
import pytest
from huggingface_hub.inference import _common as huggingface_hub
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st
from openai._streaming import SSEDecoder
from tests.contract.replica.scripted import Witness, ids_of, serving, settings

from nearstream.wire.framing import sse

ANSWER = "Grüße 😀 日本語\n\nend"
USAGE = {"stream": True, "stream_options": {"include_usage": True}}
ASKED = {
    "/generate_stream": {"inputs": "hi", "parameters": {"details": True}},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "hi"}]} | USAGE,
    "/v1/completions": {"prompt": "hi", "stream": True},
}
Streams = dict[str, bytes]
cuts = st.lists(st.integers(0, 100_000), max_size=40)


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> Streams:
    """What a server sends, by path."""
    return asyncio.run(served(tmp_path_factory.mktemp("model")))


async def served(directory: Path) -> Streams:
    engine = Witness(ids_of(ANSWER, directory))
    async with serving(settings(directory), engine) as server, aiohttp.ClientSession(server.url) as session:
        return {path: await (await session.post(path, json=body)).read() for path, body in ASKED.items()}


def cut(data: bytes, at: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(edge % (len(data) + 1) for edge in at), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def quiet(stream: bytes, at: int) -> bytes:
    """With a comment between two of its events."""
    events = list(sse.split(stream))
    place = at % (len(events) + 1)
    return b"".join([*events[:place], sse.COMMENT, *events[place:]])


def ours(pieces: list[bytes]) -> list[bytes]:
    decoder = sse.Decoder()
    found = [event for piece in pieces for event in decoder.feed(piece)]
    return [event.data for event in [*found, *decoder.flush()]]


def lines(pieces: list[bytes]) -> Iterator[str]:
    return httpx2.Response(200, content=iter(pieces)).iter_lines()


@pytest.mark.parametrize("path", ASKED)
@trying(max_examples=60, deadline=None)
@given(at=cuts, silence=st.integers(0, 100))
def test_our_own_reader_sees_the_same_events(streams: Streams, path: str, at: list[int], silence: int):
    whole = [event.removeprefix(b"data: ").removesuffix(b"\n\n") for event in sse.split(streams[path])]
    assert ours(cut(quiet(streams[path], silence), at)) == whole


@trying(max_examples=60, deadline=None)
@given(at=cuts, silence=st.integers(0, 100))
def test_huggingface_hub_reads_the_same_tokens(streams: Streams, at: list[int], silence: int):
    pieces = cut(quiet(streams["/generate_stream"], silence), at)
    events: list[Any] = list(huggingface_hub._stream_text_generation_response(lines(pieces), details=True))
    *said, last = events
    assert last.generated_text == ANSWER == "".join(event.token.text for event in said)
    assert last.details.finish_reason == "eos_token"


@trying(max_examples=60, deadline=None)
@given(at=cuts)
def test_huggingface_hub_reads_the_same_conversation(streams: Streams, at: list[int]):
    pieces = cut(streams["/v1/chat/completions"], at)
    *said, usage = huggingface_hub._stream_chat_completion_response(lines(pieces))
    assert "".join(chunk.choices[0].delta.content for chunk in said) == ANSWER
    assert usage.usage.completion_tokens == len(said)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@trying(max_examples=60, deadline=None)
@given(at=cuts)
def test_openai_reads_the_same_chunks(streams: Streams, path: str, at: list[int]):
    *chunks, done = [event.data for event in SSEDecoder().iter_bytes(iter(cut(streams[path], at)))]
    assert done == "[DONE]"
    assert [msgspec.json.decode(chunk) for chunk in chunks] == [
        msgspec.json.decode(data) for data in ours([streams[path]])[:-1]
    ]
