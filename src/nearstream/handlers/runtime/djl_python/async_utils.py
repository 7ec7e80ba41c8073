"""Answers of an async handler: whole, or an async generator of Outputs that are parts of one."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from typing import Any, Callable

from .outputs import CONTENT_TYPE, Output

_log = logging.getLogger(__name__)


def create_non_stream_output(
    data: str | dict[str, Any],
    properties: dict[str, Any] | None = None,
    error: str | None = None,
    code: int | None = None,
) -> Output:
    """A whole answer of JSON; `code` and `error` make it a failure."""
    output = _part(data, "application/json", last=True, error=error, code=code)
    for key, value in (properties or {}).items():
        output.add_property(key, value)
    return output


def create_stream_chunk_output(
    data: str | dict[str, Any],
    last_chunk: bool,
    error: str | None = None,
    code: int | None = None,
) -> Output:
    """One line of a stream of JSON lines."""
    return _part(data, "application/jsonlines", last=last_chunk, error=error, code=code)


async def handle_streaming_response(
    response: AsyncIterator[Any],
    stream_output_formatter: Callable[..., Any],
    accumulate_chunks: bool = False,
    **kwargs: Any,
) -> AsyncIterator[Output]:
    """An Output for each chunk. The formatter answers with the data and whether it is the last.

    With `accumulate_chunks` it is given `history`, a list, too, and answers with what that has become.
    """
    history: list[Any] = []
    async for chunk in response:
        try:
            if accumulate_chunks:
                data, last, history = stream_output_formatter(chunk, history=history, **kwargs)
            else:
                data, last = stream_output_formatter(chunk, **kwargs)
        except Exception as error:  # noqa: BLE001 - a user's function; its failure is the stream's
            _log.exception("the formatter of a stream failed")
            yield create_stream_chunk_output("", True, error=str(error), code=424)
            return
        yield create_stream_chunk_output(data, last)
        if last:
            return


def _part(
    data: str | dict[str, Any], media: str, *, last: bool, error: str | None, code: int | None
) -> Output:
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    fields: dict[str, Any] = {"data": text if text.endswith("\n") else text + "\n", "last": last}
    fields.update({key: value for key, value in (("error", error), ("code", code)) if value})
    return Output().add_property(CONTENT_TYPE, media).add(Output.binary_encode(fields))
