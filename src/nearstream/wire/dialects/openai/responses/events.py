"""The encoders of /v1/responses: typed events, one a token, or the response object alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from nearstream.core.errors import NearstreamError, ToolFailed
from nearstream.core.generation import Delta, Finish, Token
from nearstream.wire.dialects.completions.call_reader import CallReader, Piece
from nearstream.wire.dialects.completions.fragments import Form, call_id
from nearstream.wire.dialects.openai.errors import OpenAIErrors
from nearstream.wire.dialects.openai.responses.document import (
    Document,
    ResponseForm,
    Status,
    ended,
    function_call,
    message,
    text_part,
)

_json = msgspec.json.Encoder().encode
Keep = Callable[[Document], None]
"""Gets the response once it is complete."""
_CODES = {"rate_limit_exceeded": "rate_limit_exceeded"}


class EventEncoder:
    """Events of what is added to the output; the last one has the whole response."""

    def __init__(self, form: ResponseForm, chat: Form, keep: Keep) -> None:
        self._form = form
        self._keep = keep
        self._reader = CallReader(words=chat.words) if chat.tools else None
        self._output: list[Document] = []
        self._number = 0
        self._begun = False
        self._part: Document | None = None
        """The text that is being written."""
        self._call: Document | None = None
        """The call that is being written."""

    def feed(self, delta: Delta) -> bytes:
        events = [] if self._begun else self._begin()
        for token in delta.tokens:
            events += self._add(token)
        if delta.finish is not None:
            events += self._end(delta.finish)
        return b"".join(events)

    def fail(self, error: NearstreamError) -> bytes:
        events = [] if self._begun else self._begin()
        told = msgspec.json.decode(OpenAIErrors().body(error))["error"]
        code = _CODES.get(told["code"], "server_error")
        failed = self._form.document("failed", self._output, error={"code": code, "message": told["message"]})
        return b"".join([*events, self._event("response.failed", response=failed)])

    def _begin(self) -> list[bytes]:
        self._begun = True
        document = self._form.document("in_progress")
        return [self._event(f"response.{name}", response=document) for name in ("created", "in_progress")]

    def _add(self, token: Token) -> list[bytes]:
        text = "" if token.special else token.text
        if self._reader is None:
            return self._text(text, [token]) if text or self._form.logprobs else []
        return [event for piece in self._reader.push(text) for event in self._piece(piece, token)]

    def _piece(self, piece: Piece, token: Token | None) -> list[bytes]:
        if piece.content:
            return self._text(piece.content, [token] if token else [])
        events: list[bytes] = []
        if piece.name is not None:
            events += [*self._close_text("completed"), *self._close_call("completed")]
            events += self._open_call(piece.name, piece.call)
        if piece.arguments and self._call is not None:
            self._call["arguments"] += piece.arguments
            events.append(
                self._event("response.function_call_arguments.delta", **self._where(), delta=piece.arguments)
            )
        return events

    def _text(self, text: str, tokens: Sequence[Token]) -> list[bytes]:
        logprobs = self._form.listed(tokens)
        if not text and not logprobs:
            return []
        events = [] if self._part is not None else self._open_text()
        if self._part is not None:
            self._part["text"] += text
            self._part["logprobs"] += logprobs
        where = self._where()
        events.append(
            self._event("response.output_text.delta", **where, content_index=0, delta=text, logprobs=logprobs)
        )
        return events

    def _open_text(self) -> list[bytes]:
        self._part = text_part("", [])
        item = message(f"msg_{self._form.identity.id}_{len(self._output)}", "in_progress", [])
        added = self._added(item)
        part = self._event(
            "response.content_part.added", **self._where(), content_index=0, part=text_part("", [])
        )
        return [added, part]

    def _open_call(self, name: str, number: int) -> list[bytes]:
        identity = self._form.identity
        named = str(msgspec.json.decode(call_id(identity, 0, number)))
        self._call = function_call(f"fc_{identity.id}_{number}", "in_progress", named, name, "")
        return [self._added(self._call)]

    def _added(self, item: Document) -> bytes:
        self._output.append(item)
        return self._event("response.output_item.added", output_index=len(self._output) - 1, item=item)

    def _where(self) -> dict[str, Any]:
        return {"item_id": self._output[-1]["id"], "output_index": len(self._output) - 1}

    def _close_text(self, status: Status) -> list[bytes]:
        part, self._part = self._part, None
        if part is None:
            return []
        where = self._where() | {"content_index": 0}
        self._output[-1] |= {"status": status, "content": [part]}
        return [
            self._event("response.output_text.done", **where, text=part["text"], logprobs=part["logprobs"]),
            self._event("response.content_part.done", **where, part=part),
            self._done(),
        ]

    def _close_call(self, status: Status) -> list[bytes]:
        call, self._call = self._call, None
        if call is None:
            return []
        call["status"] = status
        done = self._event(
            "response.function_call_arguments.done",
            **self._where(),
            name=call["name"],
            arguments=call["arguments"],
        )
        return [done, self._done()]

    def _done(self) -> bytes:
        at = len(self._output) - 1
        return self._event("response.output_item.done", output_index=at, item=self._output[at])

    def _end(self, finish: Finish) -> list[bytes]:
        events: list[bytes] = []
        reader = self._reader
        if reader is not None:
            if reader.unread and finish.reason != "length":
                for piece in _last_words(reader):
                    events += self._piece(piece, None)
            else:
                events += [event for piece in reader.flush() for event in self._piece(piece, None)]
        elif self._part is None:
            events += self._open_text()
        status = ended(finish, cut=reader is None or not reader.complete)
        events += [*self._close_text(status), *self._close_call(status)]
        document = self._form.document(status, self._output, finish)
        self._keep(document)
        return [*events, self._event(f"response.{status}", response=document)]

    def _event(self, kind: str, **members: object) -> bytes:
        data = _json({"type": kind, "sequence_number": self._number, **members})
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


class WholeResponse:
    """Sends nothing before the response is complete."""

    def __init__(self, form: ResponseForm, chat: Form, keep: Keep) -> None:
        self._last: Document = {}
        self._keep = keep
        self._events = EventEncoder(form, chat, self._note)

    def feed(self, delta: Delta) -> bytes:
        self._events.feed(delta)
        return _json(self._last) if delta.finish is not None else b""

    def fail(self, error: NearstreamError) -> bytes:
        return OpenAIErrors().body(error)

    def _note(self, document: Document) -> None:
        self._last = document
        self._keep(document)


def _last_words(reader: CallReader) -> list[Piece]:
    """Raises ToolFailed for an answer that is neither a call nor words."""
    unread = reader.unread
    words = reader.flush()
    if not words:
        raise ToolFailed(f"Failed to parse generated text: {unread!r}")
    return words
