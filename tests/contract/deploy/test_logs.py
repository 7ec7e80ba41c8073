"""The contract of ReplicaLogs, on the files of a home, and what `nearstream logs` prints of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.contract.deploy.harness import spec_of

from nearstream.cli.logs import logs as print_logs
from nearstream.core.errors import Missing
from nearstream.deploy.logs import READ_BYTES, LocalLogs
from nearstream.deploy.runs import Runs


def log_of(home: Path, replica_id: str, text: str, *, written_at: float = 0.0) -> Path:
    runs = Runs(home)
    runs.prepare()
    path = runs.log(spec_of(), replica_id)
    path.write_text(text)
    os.utime(path, (written_at, written_at))
    return path


async def test_the_log_written_last_comes_last(tmp_path: Path) -> None:
    log_of(tmp_path, "r-b", "second", written_at=2)
    log_of(tmp_path, "r-a", "last one", written_at=3)
    log_of(tmp_path, "r-c", "first", written_at=1)
    found = await LocalLogs(tmp_path / "logs").logs("chat")
    assert [(log.replica_id, log.size_bytes) for log in found] == [("r-c", 5), ("r-b", 6), ("r-a", 8)]


async def test_a_log_is_read_in_bounded_pieces_to_its_end(tmp_path: Path) -> None:
    source = LocalLogs(tmp_path / "logs")
    log_of(tmp_path, "r-a", "x" * (READ_BYTES + 3))
    (log,) = await source.logs("chat")
    assert len(await source.read(log, start=0)) == READ_BYTES
    assert await source.read(log, start=READ_BYTES) == b"xxx"
    assert await source.read(log, start=READ_BYTES + 3) == b""


async def test_a_log_that_made_room_is_empty(tmp_path: Path) -> None:
    source, path = LocalLogs(tmp_path / "logs"), log_of(tmp_path, "r-a", "x")
    (log,) = await source.logs("chat")
    path.unlink()
    assert await source.read(log, start=0) == b""
    assert await source.logs("chat") == [] == await source.logs("no-such-endpoint")


def test_the_command_prints_the_last_lines_of_each_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log_of(tmp_path, "r-a", "one\ntwo\nthree\n", written_at=1)
    log_of(tmp_path, "r-b", "four\nfive\nsix", written_at=2)
    print_logs("chat", lines=2, home=tmp_path)
    assert capsys.readouterr().out == (
        "==> chat/AllTraffic/r-a.log <==\ntwo\nthree\n==> chat/AllTraffic/r-b.log <==\nfive\nsix\n"
    )
    with pytest.raises(Missing, match="no-such-endpoint"):
        print_logs("no-such-endpoint", home=tmp_path)
