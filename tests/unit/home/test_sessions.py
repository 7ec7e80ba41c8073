"""Temporary credentials: they outlive a restart, end in time, and cannot grow without a bound."""

from __future__ import annotations

from pathlib import Path

import pytest

from nearstream.core.errors import Overloaded
from nearstream.home.sessions import KEPT_S, MOST_SESSIONS, Sessions


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_session_outlives_a_restart_and_its_file_is_private(tmp_path: Path) -> None:
    file, clock = tmp_path / "sessions.json", Clock()
    made = Sessions(file, clock).begin("bob", 900, by="AKIA")
    assert Sessions(file, clock).find(made.access_key) == made
    assert file.stat().st_mode & 0o777 == 0o600
    assert made.secret_key not in repr(made) and made.token not in repr(made)


def test_an_ended_session_is_known_for_a_while_and_then_forgotten() -> None:
    clock = Clock()
    sessions = Sessions(None, clock)
    made = sessions.begin("bob", 900, by="AKIA")
    clock.now += 900 + KEPT_S - 1
    sessions.begin("ann", 900, by="AKIA")
    assert sessions.find(made.access_key) == made
    clock.now += 2
    sessions.begin("eve", 900, by="AKIA")
    assert sessions.find(made.access_key) is None


def test_more_sessions_than_a_site_keeps_are_refused_until_some_end() -> None:
    clock = Clock()
    sessions = Sessions(None, clock)
    for _ in range(MOST_SESSIONS):
        last = sessions.begin("bob", 900, by="AKIA")
    with pytest.raises(Overloaded, match="1000 sessions are open"):
        sessions.begin("bob", 900, by="AKIA")
    clock.now += 901
    sessions.begin("bob", 900, by="AKIA")
    assert len(sessions._by_access_key) <= MOST_SESSIONS and sessions.find(last.access_key) is not None


def test_a_session_of_a_session_ends_with_the_same_key() -> None:
    sessions = Sessions(None, Clock())
    first = sessions.begin("bob", 900, by="AKIA")
    assert sessions.begin("ann", 900, by=first.access_key).key == "AKIA"


def test_a_damaged_file_is_begun_again(tmp_path: Path) -> None:
    file = tmp_path / "sessions.json"
    file.write_text("{")
    sessions = Sessions(file, Clock())
    made = sessions.begin("bob", 900, by="AKIA")
    assert sessions.find(made.access_key) == made
