"""The pages on the Python API do what they say, and a site runs inside a program."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests.support.guide import Guide
from tests.support.site import Site

import nearstream
from nearstream.testing import SiteInThread


def run(*words: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=os.environ | variables,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_tests_of_the_how_to_pass(tmp_path: Path) -> None:
    blocks = Guide.read("how-to/test-streaming-code.md").of("python")
    (tmp_path / "test_mine.py").write_text("\n\n".join(blocks))
    done = run("-m", "pytest", "-q", folder=tmp_path)
    assert done.returncode == 0, done.stdout
    assert f"{sum(block.count('def test_') for block in blocks)} passed" in done.stdout


@pytest.mark.parametrize("mark", ["client.chat(", "asyncio.gather", "iter_tokens"])
def test_the_programs_of_the_reference_print_an_answer(site: Site, tmp_path: Path, mark: str) -> None:
    (program,) = [block for block in Guide.read("reference/python-api.md").of("python") if mark in block][:1]
    done = run("-c", program, folder=tmp_path, **site.environment())
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) > 3
    assert done.stderr == ""


def test_the_client_finds_a_site_by_its_home(site: Site) -> None:
    with nearstream.Client(nearstream.SageMakerEndpoint.from_home("assistant", site.home)) as client:
        assert client.warm_up()
        stream = client.stream("What is a token?", max_new_tokens=8)
        assert stream.read()
        assert stream.usage.generated_tokens == 8
        assert stream.usage.prompt_tokens
        assert stream.finish_reason == "length"
        chat = client.chat("What is a token?", max_new_tokens=8)
        assert chat.read()
        assert chat.usage.generated_tokens == 8
        answer = client.invoke({"inputs": "Hi", "parameters": {"max_new_tokens": 4}}).json()
        assert answer[0]["generated_text"]


async def test_a_site_runs_inside_a_program_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with tempfile.TemporaryDirectory() as folder:  # short enough for the sockets' paths
        monkeypatch.setattr(tempfile, "tempdir", folder)
        async with nearstream.Site() as running, running.client() as client:
            assert await client.chat("Hello!", max_new_tokens=8).read()
        assert await asyncio.to_thread(os.listdir, folder) == []
    with pytest.raises(nearstream.Unusable, match="does not run"):
        _ = running.url


def test_a_real_site_runs_for_code_without_asyncio() -> None:
    with SiteInThread() as running, nearstream.Client(running.target()) as client:
        assert client.chat("Hello!", max_new_tokens=8).read()
        names = [each["EndpointName"] for each in running.boto3("sagemaker").list_endpoints()["Endpoints"]]
    assert names == [running.endpoint]


async def test_a_home_has_one_site(tmp_path: Path) -> None:
    async with nearstream.Site(home=tmp_path / "home"):
        with pytest.raises(nearstream.Conflict, match="already running"):
            async with nearstream.Site(home=tmp_path / "home"):
                pass


async def test_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(nearstream.Unusable, match="/nowhere"):
        async with nearstream.Site(model="/nowhere"):
            pass
