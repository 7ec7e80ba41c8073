"""The keys of a site: what is kept, what is shown, and when a change takes effect."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nearstream.core.errors import Conflict, Invalid, Missing, Unusable
from nearstream.home.keys import MOST_KEYS, RECHECK_S, Credentials, Key, Keys, new_key

OWN = Credentials("123456789012", "us-east-1", "AKIAOWNOWNOWNOWNOWNO", "own-secret-own-secret")
EDGE = Key("edge", "AKIAEDGEEDGEEDGEEDGE", "edge-secret-edge-secret")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_home_of_before_has_its_one_key(file: Path) -> None:
    keys = Keys(OWN, file)
    assert keys.find(OWN.access_key) == Key("site", OWN.access_key, OWN.secret_key)
    assert keys.find(EDGE.access_key) is None
    assert [key.name for key in keys.all()] == ["site"]


def test_a_change_takes_effect_on_a_running_site_within_a_second(file: Path) -> None:
    clock = Clock()
    running, other = Keys(OWN, file, clock), Keys(OWN, file)
    assert running.find(EDGE.access_key) is None
    other.add(EDGE)
    assert running.find(EDGE.access_key) is None
    clock.now += RECHECK_S
    assert running.find(EDGE.access_key) == EDGE
    other.remove("edge")
    clock.now += RECHECK_S
    assert running.find(EDGE.access_key) is None and running.find(OWN.access_key) is not None


def test_a_file_that_is_broken_while_a_site_runs_changes_nothing(file: Path) -> None:
    clock = Clock()
    keys = Keys(OWN, file, clock)
    keys.add(EDGE)
    assert keys.find(EDGE.access_key) == EDGE
    file.write_text("[{")
    clock.now += RECHECK_S
    assert keys.find(EDGE.access_key) == EDGE
    with pytest.raises(Unusable, match=r"keys\.json cannot be read"):
        keys.all()


def test_keys_are_kept_for_their_owner_alone_and_never_in_a_text(file: Path) -> None:
    Keys(OWN, file).add(EDGE)
    assert file.stat().st_mode & 0o777 == 0o600
    assert EDGE.secret_key in file.read_text() and EDGE.secret_key not in repr(EDGE)


def test_a_name_or_access_key_is_taken_once(file: Path) -> None:
    keys = Keys(OWN, file)
    keys.add(EDGE)
    for again in (Key("edge", "A" * 20, "s" * 20), Key("other", EDGE.access_key, "s" * 20)):
        with pytest.raises(Conflict, match="'edge'"):
            keys.add(again)
    with pytest.raises(Conflict, match="'site'"):
        keys.add(Key("mine", OWN.access_key, "s" * 20))


def test_the_sites_own_key_stays(file: Path) -> None:
    with pytest.raises(Conflict, match="own commands"):
        Keys(OWN, file).remove("site")
    with pytest.raises(Missing, match="keys list"):
        Keys(OWN, file).remove("nobody")


@pytest.mark.parametrize(
    "key",
    [
        Key("", "A" * 20, "s" * 20),
        Key("a b", "A" * 20, "s" * 20),
        Key("a\n", "A" * 20, "s" * 20),
        Key("a", "AKIA/", "s" * 20),
        Key("a", "A" * 20, ""),
        Key("a", "A" * 20, "with a blank in the middle"),
    ],
)
def test_what_is_no_key_is_refused(file: Path, key: Key) -> None:
    with pytest.raises(Invalid) as caught:
        Keys(OWN, file).add(key)
    assert not key.secret_key or key.secret_key not in str(caught.value)
    assert not file.exists()


def test_there_is_a_most_of_keys(file: Path) -> None:
    rows = [{"name": f"k{n}", "access_key": f"A{n}", "secret_key": "s"} for n in range(MOST_KEYS)]
    file.write_text(json.dumps(rows))
    with pytest.raises(Conflict, match="remove one first"):
        Keys(OWN, file).add(new_key("one-more"))
