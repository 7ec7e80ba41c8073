"""What a deployer sets in CreateModel's Environment neither runs code in a replica nor moves its files."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.contract.deploy.harness import spec_of
from tests.support.waiting import until

from nearstream.config.deployed import (
    CONTAINER_VARIABLES,
    WITHHELD,
    handler_variables,
    reason_to_withhold,
    replica_variables,
)
from nearstream.config.settings import AWS_KEYS
from nearstream.deploy.local import LocalDeployer

OPERATOR = {"PATH": "/bin", "HOME": "/home/op", "HF_TOKEN": "hf_operator", "NEARSTREAM_HOME": "/home/op/site"}
DUMP = "import json, os; print(json.dumps(dict(os.environ)), flush=True)"
ATTACKS = (
    "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "LD_ANYTHING", "DYLD_INSERT_LIBRARIES", "PYTHONPATH",
    "PYTHONHOME", "PYTHONSTARTUP", "PYTHONWARNINGS", "PYTHONBREAKPOINT", "PYTHONUSERBASE",
    "PYTHONINSPECT", "PATH", "HOME", "NEARSTREAM_HOME", "NEARSTREAM_ALIASES", "NEARSTREAM_S3_URL",
    "NEARSTREAM_SECURE_MODE", "NEARSTREAM_CONFIG", "NEARSTREAM_CONTAINER_VARIABLES", "TMPDIR",
    "XDG_CONFIG_HOME", "HF_HOME", "HF_TOKEN_PATH", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HTTPS_PROXY",
    "https_proxy", "ALL_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE",
    "PIP_INDEX_URL", "PIP_CONFIG_FILE", "UV_INDEX_URL", "BASH_ENV", "BASH_FUNC_ls%%", "NODE_OPTIONS",
    "GIT_SSH_COMMAND", "PERL5OPT", "OPENSSL_CONF", "GCONV_PATH", "GLIBC_TUNABLES", "OMP_TOOL_LIBRARIES",
    "CUDA_INJECTION64_PATH", "SSLKEYLOGFILE", "MALLOC_TRACE", "HOSTALIASES", "HUGGINGFACE_CO_STAGING",
    "CC", "BROWSER",
)  # fmt: skip
HARMLESS = (
    "HF_MODEL_ID", "HF_TOKEN", "HF_ENDPOINT", "MAX_INPUT_TOKENS", "OPTION_MODEL_ID", "SERVING_BATCH_SIZE",
    "API_KEY", "OMP_NUM_THREADS", "SM_NUM_GPUS", "AWS_REGION", "AWS_ACCESS_KEY_ID", "MY_SETTING",
    "LOG_LEVEL", "TZ", "ENV", "TENSOR_PARALLEL_DEGREE", "LORA_ADAPTERS", "SAGEMAKER_PROGRAM",
)  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_a_variable_that_runs_code_or_moves_files_is_withheld(name: str):
    assert reason_to_withhold(name) in WITHHELD
    found = replica_variables(OPERATOR, {name: "evil", "MINE": "1"})
    assert "evil" not in found.variables.values()
    assert found.withheld == (name,)
    assert found.variables.get(name) == {**OPERATOR, CONTAINER_VARIABLES: "MINE"}.get(name)


@pytest.mark.parametrize("name", HARMLESS)
def test_other_variables_are_the_containers_to_set(name: str):
    assert reason_to_withhold(name) is None
    assert replica_variables(OPERATOR, {name: "mine"}).variables[name] == "mine"


@pytest.mark.parametrize(
    ("container", "token"),
    [
        ({}, "hf_operator"),
        ({"HF_ENDPOINT": "https://huggingface.co"}, "hf_operator"),
        ({"HF_ENDPOINT": "https://HuggingFace.co:443/"}, "hf_operator"),
        ({"HF_ENDPOINT": ""}, "hf_operator"),
        ({"HF_ENDPOINT": "http://huggingface.co"}, None),
        ({"HF_ENDPOINT": "https://huggingface.co.evil.example"}, None),
        ({"HF_ENDPOINT": "https://huggingface.co@evil.example"}, None),
        ({"HF_ENDPOINT": "https://huggingface.co:8443"}, None),
        ({"HF_ENDPOINT": "https://huggingface.co:bad"}, None),
        ({"HF_ENDPOINT": "https://evil.example", "HF_TOKEN": "hf_mine"}, "hf_mine"),
        ({"HF_ENDPOINT": "https://evil.example", "HF_TOKEN": ""}, None),
        ({"HF_TOKEN": "hf_mine"}, "hf_mine"),
    ],
)
def test_the_operators_token_goes_to_its_hub_alone(container: Mapping[str, str], token: str | None):
    found = replica_variables(OPERATOR, container).variables
    assert (found.get("HF_TOKEN") or None) == token
    # Where no token is to be sent, the one that lies in a file is not sent either.
    assert (found.get("HF_HUB_DISABLE_IMPLICIT_TOKEN") == "1") is (token is None)
    if token == "hf_mine":
        assert "hf_operator" not in found.values()


def test_a_hub_of_the_operators_own_is_the_one_that_its_token_is_for():
    operator = {**OPERATOR, "HF_ENDPOINT": "https://hub.corp.example"}
    same = replica_variables(operator, {"HF_ENDPOINT": "https://hub.corp.example/"}).variables
    assert same["HF_TOKEN"] == "hf_operator"
    assert "HF_TOKEN" not in replica_variables(operator, {"HF_ENDPOINT": "https://huggingface.co"}).variables


def test_the_hubs_library_sends_no_token_where_none_is_to_be_sent(tmp_path: Path):
    (tmp_path / "token").write_text("hf_in_a_file")
    evil = replica_variables(
        {**OPERATOR, "HF_HOME": str(tmp_path)}, {"HF_ENDPOINT": "http://evil.example"}
    ).variables
    ask = "from huggingface_hub.utils import build_hf_headers as h; print('authorization' in h())"
    for environ, sent in ((evil, "False"), ({"HF_HOME": str(tmp_path)}, "True")):
        done = subprocess.run(
            [sys.executable, "-c", ask], env=dict(environ), capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == sent


def test_a_handler_sees_its_containers_variables_and_no_secret_of_the_site():
    operator = OPERATOR | {"AWS_SECRET_ACCESS_KEY": "s3", "PIP_INDEX_URL": "https://u:p@pypi.corp.example"}
    found = replica_variables(operator, {"MINE": "1", "AWS_ACCESS_KEY_ID": "own", "HF_TOKEN": "hf_mine"})
    seen = handler_variables(found.variables, secrets=AWS_KEYS)
    assert seen == {
        "PATH": "/bin", "HOME": "/home/op", "MINE": "1", "AWS_ACCESS_KEY_ID": "own", "HF_TOKEN": "hf_mine",
    }  # fmt: skip
    assert handler_variables(replica_variables(OPERATOR, {}).variables, secrets=()) == {
        "PATH": "/bin", "HOME": "/home/op",
    }  # fmt: skip


def test_a_server_that_runs_for_itself_hands_its_handler_what_a_container_would():
    environ = {"HF_TOKEN": "mine", "MINE": "1", "NEARSTREAM_HOME": "/x", "API_KEY": "secret"}
    assert handler_variables(environ, secrets=()) == {"HF_TOKEN": "mine", "MINE": "1"}


async def test_code_that_a_deployer_names_does_not_run_in_a_replica(tmp_path: Path):
    folder, ran = tmp_path / "evil", tmp_path / "ran"
    folder.mkdir()
    for name in ("sitecustomize.py", "usercustomize.py", "startup.py", "json.py"):
        (folder / name).write_text(f"import pathlib; pathlib.Path({str(ran)!r}).touch()\n")
    library = library_that_touches(ran, folder)
    container = {
        "PYTHONPATH": str(folder), "PYTHONSTARTUP": str(folder / "startup.py"), "PYTHONINSPECT": "1",
        "PYTHONUSERBASE": str(folder), "LD_PRELOAD": str(library), "LD_AUDIT": str(library),
        "LD_LIBRARY_PATH": str(folder), "PATH": str(folder), "HOME": str(folder),
        "BASH_ENV": str(folder / "json.py"), "NEARSTREAM_HOME": str(folder), "MINE": "1",
    }  # fmt: skip
    (tmp_path / "site").mkdir()
    seen = await environment_of_a_replica(tmp_path / "site", container)
    assert not ran.exists()
    assert str(folder) not in "".join(seen.values())
    assert (seen["MINE"], seen["WORD"]) == ("1", "inherited")
    assert seen["NEARSTREAM_WITHHELD_VARIABLES"] == ",".join(sorted(container.keys() - {"MINE"}))


def library_that_touches(file: Path, folder: Path) -> Path:
    """A shared library whose loading makes a file, where there is a compiler; no library otherwise."""
    library = folder / "evil.so"
    if compiler := shutil.which("cc"):
        source = (
            f'#include <stdio.h>\n__attribute__((constructor)) void f(void) {{ fopen("{file}", "w"); }}\n'
        )
        command = [compiler, "-shared", "-fPIC", "-o", str(library), "-x", "c", "-"]
        subprocess.run(command, input=source.encode(), check=True)
    return library


async def environment_of_a_replica(home: Path, container: Mapping[str, str]) -> dict[str, str]:
    async with (
        asyncio.timeout(60),
        LocalDeployer(
            home,
            environment={"WORD": "inherited"},
            clock=time.time,
            command=lambda _spec, _socket: [sys.executable, "-c", DUMP],
        ) as deployer,
    ):
        await deployer.start(spec_of(**container))
        (log,) = (home / "logs").rglob("*.log")
        await until(lambda: log.read_text().endswith("}\n"))
        return dict(json.loads(log.read_text().splitlines()[-1]))


def test_a_server_names_what_is_withheld_in_its_log_and_shows_no_value():
    done = subprocess.run(
        [sys.executable, "-m", "nearstream", "serve", "/no/such/model"],
        env={"PATH": "/bin", "HOME": "/nowhere", "NEARSTREAM_WITHHELD_VARIABLES": "LD_PRELOAD,HF_HOME"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stderr.splitlines() if "withheld" in line]
    assert len(lines) == 2
    assert "LD_PRELOAD" in lines[0]
    assert "it can run code in the server" in lines[0]
    assert "HF_HOME" in lines[1]
