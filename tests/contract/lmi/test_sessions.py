"""Stateful sessions: opened, joined, closed, run out."""

from __future__ import annotations

import re
from pathlib import Path

from tests.contract.lmi.shop import Shop, open_shop, start
from tests.contract.lmi.test_server import ASK

from nearstream.replica.lmi.sessions import CLOSED_HEADER, HEADER, NEW_HEADER, SessionHandler, Sessions

_OPENED = re.compile(r"(?P<id>[0-9a-f-]{36}); Expires=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
CLOSE = {"requestType": "CLOSE"}


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


async def test_a_session_is_opened_joined_and_closed(tmp_path: Path):
    shop = Shop(tmp_path, "0.36.0", sessions=SessionHandler(Sessions(Clock(), lasting_s=60.0)))
    async with open_shop(shop, *start("m")) as session:
        async with session.post(
            "/invocations", json={"requestType": "NEW_SESSION"}, headers={HEADER: "NEW_SESSION"}
        ) as response:
            opened = _OPENED.fullmatch(response.headers[NEW_HEADER])
            assert opened and response.headers[HEADER] == response.headers[NEW_HEADER]
            assert response.status == 200
            assert await response.json() == {"result": f"Session {opened['id']} created"}
        mine = {HEADER: opened["id"]}
        async with session.post("/invocations", json=ASK, headers=mine) as response:
            assert response.status == 200
        async with session.post("/invocations", json=CLOSE, headers=mine) as response:
            assert (response.status, response.headers[CLOSED_HEADER]) == (200, opened["id"])
        for body in (ASK, CLOSE):
            async with session.post("/invocations", json=body, headers=mine) as response:
                assert response.status == 424
                assert (await response.json())["error"] == f"session not found: {opened['id']}"


async def test_a_session_that_was_silent_too_long_is_over(tmp_path: Path):
    clock = Clock()
    sessions = Sessions(clock, lasting_s=60.0, new_id=lambda: "s")
    assert sessions.open() == ("s", clock.now + 60.0)
    clock.now += 59
    sessions.touch("s")
    clock.now += 59
    sessions.touch("s")
    clock.now += 61
    shop = Shop(tmp_path, "0.36.0", sessions=SessionHandler(sessions))
    async with (
        open_shop(shop, *start("m")) as session,
        session.post("/invocations", json=ASK, headers={HEADER: "s"}) as response,
    ):
        assert (response.status, (await response.json())["error"]) == (424, "session not found: s")


async def test_sessions_that_are_not_enabled_or_not_understood_are_told(tmp_path: Path):
    async with open_shop(Shop(tmp_path, "0.36.0", sessions=SessionHandler(None)), *start("m")) as session:
        async with session.post("/invocations", json={"requestType": "NEW_SESSION"}) as response:
            assert response.status == 424
            assert "option.enable_stateful_sessions=true" in (await response.json())["error"]
        async with session.post("/invocations", json=ASK, headers={HEADER: "s"}) as response:
            assert response.status == 200
    desk = SessionHandler(Sessions(Clock(), lasting_s=60.0))
    async with open_shop(Shop(tmp_path, "0.36.0", sessions=desk), *start("m")) as session:
        for body, told in (({"requestType": "OPEN"}, "Given: OPEN"), (CLOSE, "names the session to close")):
            async with session.post("/invocations", json=body) as response:
                assert response.status == 424
                assert told in (await response.json())["error"]
