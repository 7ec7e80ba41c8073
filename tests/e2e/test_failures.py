"""What an operator will meet: killed replicas, killed front doors, clients that leave, second starts."""

from __future__ import annotations

import json
import os
import signal
import socket
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import EventStreamError
from tests.support.site import Site, alive, nearstream, pid_of
from tests.support.waiting import eventually

# So hot that the choice of a token is nearly even: the end of the sequence comes about once in a vocabulary.
LONG = {
    "inputs": "Tell me a long story",
    "parameters": {"max_new_tokens": 1500, "do_sample": True, "temperature": 50.0, "seed": 7},
    "stream": True,
}
SHORT = {"inputs": "Hello", "parameters": {"max_new_tokens": 5}, "stream": True}


def open_stream(site: Site, body: dict[str, Any] = LONG):
    answer = site.client("sagemaker-runtime").invoke_endpoint_with_response_stream(
        EndpointName="assistant", Body=json.dumps(body), ContentType="application/json"
    )
    return answer["Body"]


def ready(site: Site) -> list[int]:
    return [pid_of(replica) for replica in site.replicas() if replica["state"] == "Ready"]


def test_a_killed_replica_ends_its_stream_with_a_frame_and_comes_back(own_site: Site) -> None:
    (before,) = ready(own_site)
    stream = iter(open_stream(own_site))
    next(stream)
    os.kill(before, signal.SIGKILL)
    with pytest.raises(EventStreamError, match="ModelStreamError"):
        list(stream)
    eventually(lambda: ready(own_site) not in ([], [before]), "another replica is ready")
    assert sum(1 for _ in open_stream(own_site, SHORT)) > 0
    assert own_site.client("sagemaker").describe_endpoint(EndpointName="assistant")["EndpointStatus"] == (
        "InService"
    )


def test_a_killed_front_door_finds_its_endpoint_and_replica_again(own_site: Site) -> None:
    (before,) = ready(own_site)
    own_site.kill()
    assert alive(before)
    own_site.start()
    assert ready(own_site) == [before]
    assert sum(1 for _ in open_stream(own_site, SHORT)) > 0


def test_down_ends_the_front_door_and_every_replica(own_site: Site) -> None:
    (replica,) = ready(own_site)
    done = nearstream("down", home=own_site.home)
    assert done.returncode == 0, done.stderr
    assert own_site.process is not None
    assert own_site.process.wait(timeout=10) == 0
    assert not alive(replica)


def test_down_ends_what_a_killed_front_door_left_running(own_site: Site) -> None:
    (replica,) = ready(own_site)
    own_site.kill()
    assert nearstream("down", home=own_site.home).returncode == 0
    assert not alive(replica)


def test_a_client_that_leaves_frees_its_place(site: Site) -> None:
    stream = open_stream(site)
    next(iter(stream))
    assert site.replicas()[0]["in_flight"] == 1
    stream.close()
    eventually(lambda: site.replicas()[0]["in_flight"] == 0, "the place is free", within_s=10)


def test_a_second_up_on_the_same_home_names_the_first(site: Site) -> None:
    done = nearstream("up", home=site.home)
    assert done.returncode == 4
    assert f"process {site.process.pid}" in done.stderr and "nearstream down" in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_taken_port_is_said_in_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = nearstream("up", "--port", str(port), home=tmp_path / "home")
    assert done.returncode == 3
    assert str(port) in done.stderr and "Traceback" not in done.stderr


def test_a_missing_model_is_said_in_one_sentence(tmp_path: Path) -> None:
    site = Site(tmp_path / "home")
    done = nearstream("up", "--port", str(site.port), "--model", str(tmp_path / "nowhere"), home=site.home)
    assert done.returncode == 3
    assert "nowhere" in done.stderr and "Traceback" not in done.stderr


def test_commands_without_a_site_say_how_to_start_one(tmp_path: Path) -> None:
    for words in (["status"], ["env"], ["invoke", "assistant", "Hi"], ["logs", "assistant"]):
        done = nearstream(*words, home=tmp_path / "home")
        assert done.returncode == 5, (words, done)
        assert "Traceback" not in done.stderr


def test_health_answers_once_the_assistant_is_in_service(site: Site) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{site.port}/health") as answer:
        assert answer.status == 200
        assert json.load(answer)["status"] == "ok"


def test_nothing_but_loopback_is_listened_on(site: Site) -> None:
    listening = [
        each.laddr.ip
        for each in psutil.Process(site.process.pid).net_connections()
        if each.status == psutil.CONN_LISTEN
    ]
    assert listening == ["127.0.0.1"]
    for path in site.home.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize(
    "words", [["invoke", "assistant", "What is a token?"], ["logs", "assistant"], ["status"], ["env"]]
)
def test_a_command_prints_text(site: Site, words: list[str]) -> None:
    done = nearstream(*words, home=site.home)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("words", [["invoke", "assistant", "Hi"], ["status"], ["env"]])
def test_a_command_prints_json_for_scripts(site: Site, words: list[str]) -> None:
    done = nearstream(*words, "--json", home=site.home)
    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(done.stdout), dict)


def test_a_conversation_in_the_terminal_remembers_its_turns(site: Site) -> None:
    done = nearstream("chat", home=site.home, input="My name is Ada.\nWhat is my name?\n")
    assert done.returncode == 0, done.stderr
    assert "Ada" in done.stdout.strip().splitlines()[-1]
