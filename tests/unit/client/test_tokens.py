"""iter_tokens over what other libraries received."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from botocore.exceptions import EventStreamError
from tests.unit.client.streams import FORMATS, stream
from urllib3.exceptions import ProtocolError

import nearstream
from nearstream.client.payloads import Part


class Body:
    """An event stream that breaks with `error`, and knows whether it was closed."""

    def __init__(self, *pieces: bytes, error: Exception | None = None) -> None:
        self.pieces = pieces
        self.error = error
        self.closed = False

    def __iter__(self) -> Iterator[Part]:
        for piece in self.pieces:
            yield {"PayloadPart": {"Bytes": piece}}
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closed = True


TOKEN = b'data:{"token":{"text":"a"}}\n\n'


@pytest.mark.parametrize("name", FORMATS)
def test_the_text_of_every_format(name: str) -> None:
    found = nearstream.iter_tokens(Body(stream(name, ["Hello", " you"])))
    assert found.read() == "Hello you"


def test_it_says_how_the_answer_ended() -> None:
    found = nearstream.iter_tokens(stream("tgi", ["Hello", " you"]))
    assert list(found) == ["Hello", " you"]
    assert found.usage == nearstream.Usage(prompt_tokens=3, generated_tokens=3)
    assert found.finish_reason == "eos_token"
    assert found.ttft_s is not None


@pytest.mark.parametrize("kind", ["ModelStreamError", "InternalStreamFailure"])
def test_an_error_of_boto3_is_typed_and_has_the_text_so_far(kind: str) -> None:
    error = EventStreamError({"Error": {"Code": kind, "Message": "gone"}}, "Invoke")
    found = nearstream.iter_tokens(Body(TOKEN, TOKEN, error=error))
    with pytest.raises(nearstream.StreamFailed) as caught:
        found.read()
    assert (caught.value.code, caught.value.message, caught.value.text) == (kind, "gone", "aa")
    assert next(found, None) is None


def test_a_cut_connection_is_typed_and_has_the_text_so_far() -> None:
    with pytest.raises(nearstream.StreamFailed) as caught:
        nearstream.iter_tokens(Body(TOKEN, error=ProtocolError("cut"))).read()
    assert (caught.value.code, caught.value.text) == ("ProtocolError", "a")


def test_the_text_before_an_error_event_comes_first() -> None:
    found = nearstream.iter_tokens(TOKEN + b'data:{"error":"Broke","error_type":"generation"}\n\n')
    assert next(found) == "a"
    with pytest.raises(nearstream.StreamFailed) as caught:
        next(found)
    assert (caught.value.code, caught.value.text) == ("generation", "a")


def test_closing_it_closes_the_body() -> None:
    body = Body(TOKEN, TOKEN)
    with nearstream.iter_tokens(body) as found:
        assert next(found) == "a"
    assert body.closed
    assert list(found) == []
    assert found.text == "a"


async def test_the_async_form_reads_the_same() -> None:
    async def body() -> AsyncIterator[Part]:
        yield TOKEN
        yield {"PayloadPart": {"Bytes": TOKEN}}

    found = nearstream.aiter_tokens(body())
    assert [piece async for piece in found] == ["a", "a"]


async def test_the_async_form_raises_the_same() -> None:
    async def body() -> AsyncIterator[Part]:
        yield TOKEN
        raise EventStreamError({"Error": {"Code": "ModelStreamError", "Message": "gone"}}, "Invoke")

    with pytest.raises(nearstream.StreamFailed) as caught:
        await nearstream.aiter_tokens(body()).read()
    assert (caught.value.code, caught.value.text) == ("ModelStreamError", "a")
