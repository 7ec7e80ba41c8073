"""Text out of a streamed answer's bytes, in whichever of the served formats, cut anywhere.

Knows server-sent events (TGI, OpenAI, LMI), JSON lines (LMI) and one JSON document in pieces (LMI up to
0.25), and tells them apart by their first bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from nearstream.client import token_events
from nearstream.client.json_text import JsonText
from nearstream.client.token_events import TokenEvent, Usage
from nearstream.core.errors import Invalid, StreamFailed
from nearstream.wire.framing import sse
from nearstream.wire.framing.lines import LineDecoder

_DONE: Final = b"[DONE]"
_FIELDS: Final = (b":", b"data", b"event", b"id", b"retry")
_DOCUMENT: Final = re.compile(rb'(\[?)\s*\{\s*"generated_text"\s*:\s*"')
_DOCUMENT_SIGNS: Final = (b'{"generated_text":"', b'[{"generated_text":"')
_BLANKS: Final = re.compile(rb"\s")
_LONGEST_BEGINNING: Final = 1024


class _Format(Protocol):
    """How one format is read: bytes to events, and what is left at the end."""

    def feed(self, data: bytes) -> Iterable[TokenEvent]: ...

    def flush(self) -> Iterable[TokenEvent]: ...


class TokenReader:
    """Feed it bytes as they arrive; it gives the pieces of text that they complete.

    Once `failure` is set, or `[DONE]` has come, the rest is ignored.
    """

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        """Why the answer ended, in the service's own word: "length", "eos_token", "stop" and the like."""
        self.failure: StreamFailed | None = None
        """The error that ended the stream."""
        self._format: _Format | None = None
        self._beginning = b""
        self._prompt_tokens: int | None = None
        self._generated_tokens: int | None = None
        self._tokens = 0

    @property
    def usage(self) -> Usage:
        """As far as it is known now."""
        counted = self._tokens or None
        return Usage(
            self._prompt_tokens, counted if self._generated_tokens is None else self._generated_tokens
        )

    def feed(self, data: bytes) -> list[str]:
        """The pieces of text that are whole now; none is empty."""
        return self._texts(self._events(data))

    def finish(self) -> list[str]:
        """At the end of the stream: what its last line has, though its end never came."""
        return self._texts(self._last_events())

    def _texts(self, events: Iterable[TokenEvent]) -> list[str]:
        texts: list[str] = []
        if self.failure is not None:
            return texts
        try:
            for event in events:
                if event.text:
                    texts.append(event.text)
                if self._note(event) is not None:
                    break
        except Invalid as error:
            self.failure = StreamFailed("InvalidStream", str(error))
        return texts

    def _events(self, data: bytes) -> Iterator[TokenEvent]:
        if self._format is None:
            self._beginning = (self._beginning + data).lstrip()
            self._format, data = _format_of(self._beginning)
        if self._format is not None:
            yield from self._format.feed(data)

    def _last_events(self) -> Iterator[TokenEvent]:
        if self._format is None:  # too short to tell, as half a line is
            self._format = _Lines()
            yield from self._format.feed(self._beginning)
        yield from self._format.flush()

    def _note(self, event: TokenEvent) -> StreamFailed | None:
        """Count an event in; its failure."""
        self._tokens += event.is_token
        self.finish_reason = event.finish_reason or self.finish_reason
        if event.prompt_tokens is not None:
            self._prompt_tokens = event.prompt_tokens
        if event.generated_tokens is not None:
            self._generated_tokens = event.generated_tokens
        self.failure = event.failure
        return event.failure


class _Events:
    """Server-sent events."""

    def __init__(self) -> None:
        self._decoder = sse.Decoder()
        self._done = False

    def feed(self, data: bytes) -> Iterator[TokenEvent]:
        return self._read(self._decoder.feed(data))

    def flush(self) -> Iterator[TokenEvent]:
        return self._read(self._decoder.flush())

    def _read(self, events: Iterable[sse.Event]) -> Iterator[TokenEvent]:
        for event in events:
            document = event.data.strip()
            self._done = self._done or document == _DONE
            if not self._done and document.startswith((b"{", b"[")):
                yield token_events.read(document)
            elif not self._done and event.event == "error":
                text = document.decode(errors="replace")
                yield TokenEvent(failure=StreamFailed("error", text))


class _Lines:
    """JSON lines; a line that begins as no JSON object does says nothing."""

    def __init__(self) -> None:
        self._decoder = LineDecoder()

    def feed(self, data: bytes) -> Iterator[TokenEvent]:
        return self._read(self._decoder.feed(data))

    def flush(self) -> Iterator[TokenEvent]:
        return self._read(self._decoder.flush())

    def _read(self, lines: Iterable[bytes]) -> Iterator[TokenEvent]:
        for line in lines:
            document = line.removeprefix(b"data:").strip()
            if document.startswith((b"{", b"[")) and document != _DONE:
                yield token_events.read(document)


class _Document:
    """One document whose `generated_text` grows; after it its details, and lines if it broke."""

    def __init__(self, opening: bytes) -> None:
        self._text: JsonText | None = JsonText()
        self._lines = _Lines()
        # What follows the text is read as the end of a document without one.
        self._rest_begins = opening + b'{"generated_text":""'

    def feed(self, data: bytes) -> Iterator[TokenEvent]:
        if self._text is None:
            yield from self._lines.feed(data)
            return
        text, rest = self._text.feed(data)
        if text:
            yield TokenEvent(text)
        if self._text.fault is not None:
            yield TokenEvent(failure=StreamFailed("InvalidStream", self._text.fault))
        if rest is not None:
            self._text = None
            yield from self._lines.feed(self._rest_begins + rest)

    def flush(self) -> Iterator[TokenEvent]:
        if self._text is not None:
            message = "the stream ended inside its JSON document"
            yield TokenEvent(failure=StreamFailed("InvalidStream", message))
        yield from self._lines.flush()


def _format_of(data: bytes) -> tuple[_Format | None, bytes]:
    """The format of a stream that begins with `data`, and what of that is for it to read.

    No format while these bytes are too few to tell. Raises Invalid for a stream that is in none of them.
    """
    if data.startswith((b"{", b"[")):
        signs = _BLANKS.sub(b"", data)
        expected = _DOCUMENT_SIGNS[signs.startswith(b"[")]
        if len(signs) < len(expected) and expected.startswith(signs) and len(data) < _LONGEST_BEGINNING:
            return None, b""
        if opening := _DOCUMENT.match(data):
            return _Document(opening[1]), data[opening.end() :]
        return _Lines(), data
    if data.startswith(_FIELDS):
        return _Events(), data
    if any(field.startswith(data) for field in _FIELDS):
        return None, b""
    raise Invalid(
        "server-sent events or JSON are wanted, but the stream begins with"
        f" {data[:1]!r}: read it with LineIterator"
    )
