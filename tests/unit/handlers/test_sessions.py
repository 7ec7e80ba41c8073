"""The sessions that a handler keeps state in."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest

from nearstream.handlers.runtime.djl_python import SessionManager


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def manager(path: Path, clock: Clock | None = None) -> SessionManager:
    properties = {"sessions_path": str(path / "sessions"), "sessions_expiration": "60"}
    return SessionManager(properties, clock or Clock())


def test_values_and_arrays_are_kept_and_other_workers_see_them(tmp_path: Path):
    session = manager(tmp_path).create_session()
    session.put("words", ["a", "b"])
    session.get_as_numpy("a/state", (2, 2), create=True).fill(1)
    seen = manager(tmp_path).get_session(session.session_id)
    assert seen is not None and seen.get("words") == ["a", "b"] and seen.get("nothing", 5) == 5
    assert np.array_equal(seen.get_as_numpy("a/state", (2, 2)), np.ones((2, 2), np.float32))


def test_a_session_is_over_after_its_time_and_is_removed(tmp_path: Path):
    clock = Clock()
    sessions = manager(tmp_path, clock)
    first = sessions.create_session()
    clock.now_s += 59
    assert sessions.get_session(first.session_id) is not None
    clock.now_s += 2
    assert sessions.get_session(first.session_id) is None
    second = sessions.create_session()
    assert [path.name for path in (tmp_path / "sessions").iterdir()] == [second.session_id]


def test_a_session_is_closed_once(tmp_path: Path):
    sessions = manager(tmp_path)
    closed = sessions.create_session().session_id
    sessions.close_session(closed)
    assert not list((tmp_path / "sessions").iterdir())
    with pytest.raises(ValueError, match=f"session not found: {closed}"):
        sessions.close_session(closed)
    with pytest.raises(ValueError, match="invalid session_id"):
        sessions.close_session(None)


@pytest.mark.parametrize("session_id", ["..", "../sessions", "x", "", None, "NEW_SESSION", str(uuid.uuid4())])
def test_no_id_leads_out_of_the_folder(tmp_path: Path, session_id: str | None):
    sessions = manager(tmp_path)
    if session_id in {"", None, "NEW_SESSION"}:
        assert sessions.get_session(session_id) is None
    else:
        with pytest.raises(ValueError, match="session not found"):
            sessions.get_session(session_id)


@pytest.mark.parametrize("key", ["", ".", ".."])
def test_no_key_leads_out_of_a_session(tmp_path: Path, key: str):
    with pytest.raises(ValueError, match="is no key"):
        manager(tmp_path).create_session().put(key, 1)


def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path):
    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions").chmod(0o777)
    with pytest.raises(ValueError, match="no other may write to it"):
        manager(tmp_path)


def test_sessions_in_s3_are_refused_by_name(tmp_path: Path):
    with pytest.raises(ValueError, match="sessions_s3url"):
        SessionManager({"sessions_path": str(tmp_path), "sessions_s3url": "s3://b/p"})
