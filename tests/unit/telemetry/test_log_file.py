"""The log file that cannot fill a disk."""

from __future__ import annotations

from pathlib import Path

from nearstream.telemetry.log_file import LogFile


def test_a_log_and_the_one_before_it_are_all_that_is_kept(tmp_path: Path):
    path = tmp_path / "frontdoor.log"
    with LogFile(path, limit_bytes=1000) as log:
        for number in range(500):
            log.write(f"line {number}\n")
    kept = sorted(tmp_path.iterdir())
    assert [file.name for file in kept] == ["frontdoor.log", "frontdoor.log.1"]
    assert all(file.stat().st_size <= 1000 for file in kept)
    lines = (kept[1].read_text() + kept[0].read_text()).splitlines()
    assert lines == [f"line {number}" for number in range(500)][-len(lines) :]


def test_a_log_that_is_there_is_continued(tmp_path: Path):
    path = tmp_path / "frontdoor.log"
    path.write_text("old\n")
    with LogFile(path) as log:
        log.write("new \udc80\n")
    assert path.read_text() == "old\nnew \\udc80\n"
