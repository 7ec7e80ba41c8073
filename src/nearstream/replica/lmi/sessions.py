"""Stateful sessions as LMI has them: opened and closed by a call of their own, named in SageMaker's headers.

A conversation that keeps its session comes back to the replica whose KV cache holds its beginning: the front
door routes by the id, and the engine's prefix cache does the rest.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from nearstream.core.errors import Invalid
from nearstream.core.ports import Clock
from nearstream.replica.lmi.inbound import Inbound

NEW, CLOSE = "NEW_SESSION", "CLOSE"
HEADER = "X-Amzn-SageMaker-Session-Id"
NEW_HEADER = "X-Amzn-SageMaker-New-Session-Id"
CLOSED_HEADER = "X-Amzn-SageMaker-Closed-Session-Id"
SESSIONS_MOST = 100_000
REQUEST_TYPE = "requestType"


class Sessions:
    """Who is in a conversation, until when. The one that was silent longest makes room."""

    def __init__(self, clock: Clock, *, lasting_s: float, new_id: Callable[[], str] | None = None) -> None:
        self._clock = clock
        self._lasting_s = lasting_s
        self._new_id = new_id or (lambda: str(uuid.uuid4()))
        self._until: OrderedDict[str, float] = OrderedDict()

    def open(self) -> tuple[str, float]:
        """A new id, and when it ends, seconds since the epoch."""
        session = self._new_id()
        self._keep(session)
        if len(self._until) > SESSIONS_MOST:
            self._until.popitem(last=False)
        return session, self._until[session]

    def touch(self, session: str) -> None:
        """Somebody speaks in it; it lasts longer for that. Raises Invalid for one that is not open."""
        until = self._until.pop(session, None)
        if until is None or until <= self._clock():
            raise Invalid(f"session not found: {session}")
        self._keep(session)

    def close(self, session: str) -> None:
        """Raises Invalid for one that is not open."""
        self.touch(session)
        del self._until[session]

    def _keep(self, session: str) -> None:
        self._until[session] = self._clock() + self._lasting_s


@dataclass(frozen=True, slots=True)
class SessionHandler:
    """Answers the calls that open and close sessions; `sessions` None: they are not enabled."""

    sessions: Sessions | None

    def answer(self, inbound: Inbound) -> web.Response | None:
        """The answer to a call about a session; None for one that is for the model. Raises Invalid."""
        requested, session = inbound.json_text(REQUEST_TYPE), inbound.properties.get(HEADER.lower())
        if requested is None:
            if session not in {None, NEW} and self.sessions is not None:
                self.sessions.touch(session)
            return None
        if self.sessions is None:
            raise Invalid("stateful sessions not enabled: set option.enable_stateful_sessions=true")
        if requested == NEW:
            return _opened(*self.sessions.open())
        if requested != CLOSE:
            raise Invalid(f"invalid payload. {REQUEST_TYPE} should be {NEW} or {CLOSE}. Given: {requested}")
        if session is None:
            raise Invalid(f"invalid payload. The header {HEADER} names the session to close")
        self.sessions.close(session)
        return _response(f"Session {session} closed", {CLOSED_HEADER: session})


def _opened(session: str, until: float) -> web.Response:
    ends = datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    named = f"{session}; Expires={ends}"
    return _response(f"Session {session} created", {HEADER: named, NEW_HEADER: named})


def _response(result: str, headers: dict[str, str]) -> web.Response:
    body = msgspec.json.encode({"result": result})
    return web.Response(body=body, content_type="application/json", headers=headers)
