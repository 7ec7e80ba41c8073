"""The text of a streamed answer that another library received: boto3, aioboto3, or any iterable of bytes."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.eventstream import ParserError
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from nearstream.client.payloads import Body, Part, async_payloads, payloads
from nearstream.client.text_stream import AsyncTextStream, TextStream
from nearstream.core.errors import StreamFailed


def iter_tokens(body: Body) -> TextStream:
    """The text of a streamed answer, piece by piece, whatever format the container streams in.

        answer = runtime.invoke_endpoint_with_response_stream(EndpointName=name, Body=request)
        for piece in nearstream.iter_tokens(answer["Body"]):
            print(piece, end="", flush=True)

    `body` is boto3's event stream, any iterable of bytes, or bytes. Reads server-sent events (TGI, OpenAI
    chat and completions), JSON lines and one JSON document in pieces (LMI), cut anywhere. Comments, unknown
    events and `[DONE]` are no text. Raises StreamFailed, with the `text` so far, for an error inside the
    stream: ModelStreamError and InternalStreamFailure of boto3, an error event of the container, a
    connection that was cut, a stream in none of these formats. Closing it closes the body.
    """
    return TextStream(_read(body), getattr(body, "close", _nothing))


def aiter_tokens(body: AsyncIterable[Part]) -> AsyncTextStream:
    """As `iter_tokens`, for a body that is read with `async for`: that of aioboto3, aiohttp or httpx."""

    async def close() -> None:
        closed = getattr(body, "aclose", getattr(body, "close", _nothing))()
        if closed is not None:
            await closed

    return AsyncTextStream(_aread(body), close)


def _read(body: Body) -> Iterator[bytes]:
    with _translated():
        yield from payloads(body)


async def _aread(body: AsyncIterable[Part]) -> AsyncIterator[bytes]:
    with _translated():
        async for data in async_payloads(body):
            yield data


@contextmanager
def _translated() -> Iterator[None]:
    """What AWS's libraries raise inside a stream, as StreamFailed."""
    try:
        yield
    except ClientError as error:
        told: dict[str, Any] = error.response.get("Error", {})
        raise StreamFailed(told.get("Code", "error"), told.get("Message", "")) from error
    except (BotoCoreError, ParserError, HTTPError) as error:
        raise StreamFailed(type(error).__name__, str(error)) from error


def _nothing() -> None:
    pass
