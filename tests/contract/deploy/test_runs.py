"""The files of replicas, and processes known by more than their number."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.contract.deploy.harness import spec_of

from nearstream.core.errors import Unusable
from nearstream.deploy import processes, runs
from nearstream.deploy.runs import LOGS_KEPT, Runs, outgrown, rotate, tail_of


def test_a_log_is_cut_at_its_bound_and_its_writer_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "LOG_BYTES", 100)
    log = tmp_path / "r.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * 101)
        assert outgrown(str(log))
        rotate(str(log))
        writer.write(b"after")
    assert log.read_text() == "after"
    assert (tmp_path / "r.log.1").read_text() == "x" * 101
    assert not outgrown(str(log))


def test_only_the_newest_logs_of_a_variant_are_kept(tmp_path: Path) -> None:
    folder = Runs(tmp_path)
    folder.prepare()
    for number in range(LOGS_KEPT + 5):
        log = folder.log(spec_of(), f"r-{number:010}")
        log.write_text("x")
        os.utime(log, (number, number))
    kept = sorted(path.name for path in log.parent.iterdir())
    assert kept == [f"r-{number:010}.log" for number in range(5, LOGS_KEPT + 5)]


def test_the_tail_of_a_log_is_short_and_of_a_missing_one_empty(tmp_path: Path) -> None:
    log = tmp_path / "r.log"
    log.write_text("".join(f"line {number}\n" for number in range(1000)))
    assert tail_of(str(log)).splitlines() == [f"line {number}" for number in range(988, 1000)]
    assert tail_of(str(tmp_path / "none.log")) == ""


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unusable, match="run"):
        Runs(tmp_path).prepare()


def test_a_folder_where_a_file_is_is_unusable(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("")
    with pytest.raises(Unusable, match="logs cannot be made"):
        Runs(tmp_path).prepare()


@pytest.mark.parametrize("has_proc", [True, False])
def test_a_process_is_known_by_its_birth(monkeypatch: pytest.MonkeyPatch, has_proc: bool) -> None:
    if has_proc and not Path("/proc/self/stat").exists():
        pytest.skip("there is no /proc here")
    monkeypatch.setattr(processes, "_HAS_PROC", has_proc)
    birth = processes.birth_of(os.getpid())
    assert birth is not None
    assert processes.is_alive(os.getpid(), birth)
    assert not processes.is_alive(os.getpid(), "another")
    assert processes.birth_of(2**22 + 1) is None


def test_an_environment_that_no_process_can_have_is_unusable(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="environment"):
        processes.spawn(["/bin/true"], {"A": "with\0nul"}, log=tmp_path / "r.log")
