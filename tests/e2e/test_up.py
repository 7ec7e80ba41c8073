"""`nearstream up` as a person sees it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.support.ports import free_port
from tests.support.site import nearstream


def test_it_shows_an_answer_and_how_to_go_on_and_stops_at_an_interrupt(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = [sys.executable, "-m", "nearstream", "up", "--home", str(home), "--port", str(free_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        shown = []
        for line in process.stdout:
            shown.append(line)
            if "Ctrl-C" in line:
                process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0, process.stderr
    text = "".join(shown)
    assert "endpoint assistant is InService after" in text
    assert "assistant> " in text and "TTFT" in text and "tokens/s" in text
    assert f"nearstream env --home {home}" in text or f"env --home {home}" in text
    assert "Stopping" in text
    assert nearstream("status", home=home).returncode == 5


def test_help_names_every_command() -> None:
    shown = nearstream("--help").stdout
    for command in ("up", "down", "status", "logs", "env", "invoke", "chat", "serve", "convert"):
        assert f" {command} " in shown
        done = nearstream(command, "--help")
        assert done.returncode == 0 and command in done.stdout


def test_a_wrong_option_is_a_usage_error() -> None:
    done = nearstream("up", "--prot", "1")
    assert done.returncode == 2
    assert "--port" in done.stdout + done.stderr
