"""`text-generation-launcher` in a process, on the built-in model."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.lora import saying, write_adapter
from tests.support.ports import free_port
from tests.support.site import START_TIMEOUT_S
from tests.support.waiting import eventually

COMMAND = str(Path(sys.executable).with_name("text-generation-launcher"))


@contextmanager
def launched(home: Path, *flags: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """The process and the file of its log lines; it is ended with the block."""
    log = home / "log"
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(home), "NEARSTREAM_HOME": str(home)} | variables
    with log.open("w") as output:
        process = subprocess.Popen([COMMAND, *flags], env=environ, stdout=output, stderr=output, text=True)
    try:
        yield process, log
    finally:
        process.kill()
        process.wait()


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


def post(url: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=START_TIMEOUT_S) as response:
        return json.load(response)


def test_it_serves_a_model_with_tgis_flags_and_says_what_becomes_of_each(tmp_path: Path):
    port = free_port()
    flags = ("--model-id", "builtin", "--port", str(port), "--hostname", "127.0.0.1", "--json-output")
    limits = ("--max-input-tokens", "100", "--max-total-tokens=200", "--max-batch-total-tokens", "400")
    gpu = ("--num-shard", "2", "--trust-remote-code", "--flag-of-tomorrow", "7")
    with launched(tmp_path, *flags, *limits, *gpu, DTYPE="float16") as (process, log):
        eventually(
            lambda: process.poll() is not None or "ready" in [line["event"] for line in lines(log)],
            "the model server is ready",
            within_s=START_TIMEOUT_S,
        )
        assert process.poll() is None, log.read_text()
        url = f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(url + "/info") as response:
            info = json.load(response)
        assert (info["max_input_tokens"], info["max_total_tokens"]) == (100, 200)
        assert (info["max_batch_total_tokens"], info["model_id"]) == (400, "builtin")
        answer = post(url + "/generate", {"inputs": "Hello", "parameters": {"max_new_tokens": 5}})
        assert list(answer) == ["generated_text"]
        with urllib.request.urlopen(url + "/metrics") as response:
            assert b"\ntgi_request_success 1\n" in response.read()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    said = lines(log)
    ignored = {line["flag"]: line["because"] for line in said if line["event"] == "flag without effect"}
    assert set(ignored) == {"--num-shard", "--trust-remote-code", "--dtype"}
    assert ignored["--trust-remote-code"] == "code that comes with a model is never run"
    assert [line["flag"] for line in said if line["event"] == "flag unknown"] == ["--flag-of-tomorrow"]


def test_connections_are_refused_until_the_model_is_warm(tmp_path: Path):
    port, seen = free_port(), list[str]()

    def healthy() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as response:
                seen.append(str(response.status))
        except urllib.error.HTTPError as error:
            seen.append(str(error.code))
        except OSError as error:
            seen.append(type(getattr(error, "reason", error)).__name__)
        return seen[-1] != "ConnectionRefusedError"

    with launched(tmp_path, "--model-id", "builtin", "--port", str(port)) as (process, log):
        eventually(lambda: process.poll() is not None or healthy(), "it listens", within_s=START_TIMEOUT_S)
        assert process.poll() is None, log.read_text()
        assert (seen[0], seen[-1]) == ("ConnectionRefusedError", "200")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


def test_it_ends_at_once_while_the_model_is_loading(tmp_path: Path):
    with launched(tmp_path, "--model-id", "builtin", "--port", str(free_port())) as (process, log):
        eventually(lambda: "management needs a key" in log.read_text(), "it loads", within_s=START_TIMEOUT_S)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        assert "Traceback" not in log.read_text()


def test_a_model_that_cannot_be_used_ends_it_with_the_reason(tmp_path: Path):
    with launched(tmp_path, "--model-id", "/no/such/model", "--port", "0") as (process, log):
        assert process.wait(timeout=START_TIMEOUT_S) == 1
        assert log.read_text().splitlines()[-1].startswith("Error: ")
        assert "/no/such/model" in log.read_text()


def test_an_adapter_of_the_launchers_flag_is_asked_for_by_its_name(tmp_path: Path):
    port, parrot = free_port(), write_adapter(tmp_path / "parrot", saying(77))
    flags = ("--port", str(port), "--hostname", "127.0.0.1", "--lora-adapters", f"parrot={parrot}")
    with launched(tmp_path, *flags, "--json-output") as (process, log):
        eventually(
            lambda: process.poll() is not None or "ready" in [line["event"] for line in lines(log)],
            "the model server is ready",
            within_s=START_TIMEOUT_S,
        )
        assert process.poll() is None, log.read_text()
        parameters = {"max_new_tokens": 3, "details": True, "adapter_id": "parrot"}
        answer = post(f"http://127.0.0.1:{port}/generate", {"inputs": "Hello", "parameters": parameters})
        assert [token["id"] for token in answer["details"]["tokens"]] == [77] * 3
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    assert list((tmp_path / "cache").glob("adapters-*")) == []
