"""What a server says to what is no request: in its own dialect, with one short line in the log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import http_exceptions, web

LOGGED_PER_PERIOD: Final = 10
PERIOD_S: Final = 60.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A response to what cannot be handed to the application."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> web.Response:
        response = web.Response(status=self.status, body=self.body, headers=self.headers)
        response.force_close()
        return response

    def wire(self) -> bytes:
        """The response as it is sent where there is no request to answer; the connection ends with it."""
        fields = {**self.headers, "Content-Length": str(len(self.body)), "Connection": "close"}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\n{head}\r\n".encode() + self.body


Refuse = Callable[[int, str], Refusal]
"""Writes a refusal with a status and a sentence in the dialect of a server."""


def plain_json(status: int, message: str) -> Refusal:
    """The refusal of a server that has no dialect."""
    body = json.dumps({"message": message}).encode()
    return Refusal(status, body, {"Content-Type": "application/json"})


_MEANINGS: Final[tuple[tuple[type[Exception], int, str], ...]] = (
    (http_exceptions.LineTooLong, 431, "the request line or a header is too long: at most 64 KiB are taken"),
    (http_exceptions.InvalidHeader, 400, "a header is not valid HTTP"),
    (http_exceptions.InvalidURLError, 400, "the target of the request is not a URL"),
    (http_exceptions.TransferEncodingError, 400, "the body is not in the chunks that its headers announce"),
    (http_exceptions.ContentLengthError, 400, "the body is not as long as its headers announce"),
    (http_exceptions.ContentEncodingError, 400, "the body is not in the Content-Encoding that it names"),
    (http_exceptions.BadStatusLine, 400, "the request line is not valid HTTP: a method, a target, HTTP/1.1"),
)
# What the parser says, in lower case, of what it has no class for.
_SIGNS: Final = (
    ("missing 'host'", 400, "the header Host is missing"),
    ("duplicate", 400, "a header that may come once came twice"),
    ("too many headers", 431, "there are too many headers"),
    ("chunk", 400, "the body is not in the chunks that its headers announce"),
    ("transfer-encoding", 400, "the headers Transfer-Encoding and Content-Length do not go together"),
    ("content-length", 400, "the header Content-Length is not a length"),
    ("header", 400, "a header is not valid HTTP"),
)


def meaning(error: BaseException | None) -> tuple[int, str]:
    """The status and the sentence for what a parser of HTTP raised; never the parser's own words."""
    for kind, status, sentence in _MEANINGS:
        if isinstance(error, kind):
            return status, sentence
    text = str(getattr(error, "message", "")).lower()
    for sign, status, sentence in _SIGNS:
        if sign in text:
            return status, sentence
    return 400, "the request is not valid HTTP"


class RefusalLog:
    """One line for a refusal, without what was sent; of many in a period, `most` and a count of the rest."""

    def __init__(self, clock: Callable[[], float], *, most: int = LOGGED_PER_PERIOD) -> None:
        self._clock = clock
        self._most = most
        self._began = clock()
        self._seen = 0
        self._silent: Counter[str] = Counter()

    def note(self, status: int, reason: str, peer: str) -> None:
        now = self._clock()
        if now - self._began >= PERIOD_S:
            self._close(now)
        self._seen += 1
        if self._seen > self._most:
            self._silent[reason] += 1
            return
        _log.warning("request refused", status=status, reason=reason, peer=peer or "local")

    def _close(self, now: float) -> None:
        for reason, count in self._silent.items():
            _log.warning("more requests refused", reason=reason, count=count)
        self._began, self._seen = now, 0
        self._silent.clear()
