"""The home folder: its identity, its lock, what it says when it cannot be used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nearstream.core.errors import Conflict, Missing, Unusable
from nearstream.home.paths import Home
from nearstream.home.private import write_private


@pytest.fixture
def home(tmp_path: Path) -> Home:
    place = Home(tmp_path / "home")
    place.create()
    return place


def test_the_identity_is_made_once_and_for_its_owner_alone(home: Home) -> None:
    made = home.ensure_credentials("eu-central-1")
    assert home.ensure_credentials("us-east-1") == made == home.credentials()
    assert made.region == "eu-central-1" and len(made.account) == 12 and made.access_key.startswith("AKIA")
    assert home.credentials_file.stat().st_mode & 0o777 == 0o600
    assert home.path.stat().st_mode & 0o777 == 0o700


def test_the_secret_is_not_in_the_identitys_text(home: Home) -> None:
    made = home.ensure_credentials("us-east-1")
    assert made.secret_key not in repr(made)


def test_a_home_that_was_never_started_says_how_to_start_it(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="nearstream up"):
        Home(tmp_path).credentials()


def test_damaged_credentials_name_their_file(home: Home) -> None:
    home.credentials_file.write_text('{"account": 1')
    with pytest.raises(Unusable, match=str(home.credentials_file)):
        home.ensure_credentials("us-east-1")


def test_a_second_holder_is_told_of_the_first(home: Home) -> None:
    assert home.running() is None
    with home.lock("http://127.0.0.1:1"):
        running = home.running()
        assert running is not None and (running.pid, running.url) == (os.getpid(), "http://127.0.0.1:1")
        with (
            pytest.raises(Conflict, match=f"process {os.getpid()}, http://127.0.0.1:1"),
            home.lock("http://x"),
        ):
            pass
    assert home.running() is None
    with home.lock("http://again"):
        pass


def test_the_lock_falls_with_a_killed_process(home: Home) -> None:
    code = (
        "import sys, os; from pathlib import Path; from nearstream.home.paths import Home\n"
        "with Home(Path(sys.argv[1])).lock('http://x'): print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(home.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None and other.stdout.readline() == b"held\n"
    assert home.running() is not None
    other.kill()
    other.communicate()
    with home.lock("http://y"):
        pass


def test_a_home_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unusable, match="cannot be made"):
        Home(tmp_path / "file" / "home").create()


def test_a_full_disk_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 4096}))
    with pytest.raises(Unusable, match="is full: 4 KiB are free"):
        Home(tmp_path / "home").create()
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "credentials.json"
    opened = os.open

    def full(path: str, flags: int, mode: int = 0o777) -> int:
        opened(path, flags, mode)
        return opened("/dev/full", os.O_WRONLY)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(Unusable, match="no space is left"):
        write_private(target, b"x")
    assert list(tmp_path.iterdir()) == []
