"""The server describes itself, and keeps to what it says of itself whatever it is sent."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from tests.contract.openapi.routes import routes
from tests.contract.replica.scripted import Server, Witness, ids_of, serving, settings

from nearstream.replica.settings import ServerSettings
from nearstream.replica.tgi.openapi.document import document
from nearstream.wire.dialects.hf.terms import Terms, tgi_release
from nearstream.wire.dialects.limits import Limits

HERE = Path(__file__).parent
LIMITS = Limits(max_input_tokens=64, max_total_tokens=128)
# Rules between fields, which no schema tells, make a well-formed body a bad one.
NOT_CHECKED = "positive_data_acceptance"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(settings(tmp_path), Witness(ids_of("hello 😀 world", tmp_path))) as running:
        yield running


async def get(server: Server, path: str) -> aiohttp.ClientResponse:
    async with aiohttp.ClientSession(server.url) as session:
        response = await session.get(path)
        await response.read()
        return response


@pytest.mark.timeout(180)
async def test_whatever_it_is_sent_it_answers_as_its_own_document_says(server: Server, tmp_path: Path):
    schemathesis = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"),
        *("--config-file", HERE / "schemathesis.toml"),
        *("run", f"{server.url}/api-doc/openapi.json", "--phases", "examples,coverage,fuzzing"),
        *("--max-examples", "25", "--seed", "7", "--exclude-checks", NOT_CHECKED, "--no-color"),
        *("--generation-database", ":memory:", "--warnings", "off"),
        cwd=tmp_path,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await schemathesis.communicate()
    assert schemathesis.returncode == 0, said.decode()
    assert re.search(r"Selected: (\d+)/\1\n +Tested: \1\b", said.decode()), said.decode()


async def test_every_route_that_is_served_is_described(tmp_path: Path):
    told = settings(tmp_path)
    paths = document(told)["paths"]
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert described == await routes(told)


async def test_the_page_for_people_fetches_nothing(server: Server):
    response = await get(server, "/docs")
    page = await response.text()
    assert response.content_type == "text/html"
    assert "<script" not in page
    links = set(re.findall(r"""(?:src|href)\s*=\s*["']([^"'#]+)["']""", page))
    assert links == {"api-doc/openapi.json"}
    assert "url(" not in page and "@import" not in page
    for name in ("POST /generate_stream", "GenerateParameters", "repetition_penalty", "ChatCompletionChunk"):
        assert name in page
    targets, anchors = re.findall(r'href="#(\w+)"', page), re.findall(r'id="(\w+)"', page)
    assert set(targets) <= set(anchors)


async def test_the_document_is_read_without_a_key(tmp_path: Path):
    async with serving(settings(tmp_path, api_key="secret"), Witness([7])) as server:
        for path in ("/docs", "/api-doc/openapi.json"):
            assert (await get(server, path)).status == 200


@pytest.mark.parametrize(
    ("version", "messages_api", "bodies"),
    [
        ("3.3.7", False, ["GenerateRequest", "ChatRequest", "CompletionRequest"]),
        ("2.0.1", True, ["ChatRequest"]),
        ("2.0.1", False, ["GenerateRequest"]),
        ("0.9.3", False, ["GenerateRequest"]),
    ],
)
def test_invocations_is_described_as_its_release_has_it(
    tmp_path: Path, version: str, messages_api: bool, bodies: list[str]
):
    terms = Terms(release=tgi_release(version), limits=LIMITS)
    told = document(ServerSettings("toy", tmp_path, terms, messages_api=messages_api))
    body = told["paths"]["/invocations"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert [choice["$ref"].rpartition("/")[2] for choice in body.get("anyOf", [body])] == bodies
    assert told["info"]["version"] == version


def test_the_limits_of_this_server_are_in_the_document(tmp_path: Path):
    terms = Terms(limits=Limits(max_input_tokens=7, max_total_tokens=9, max_best_of=3, max_top_n_tokens=1))
    fields = document(ServerSettings("toy", tmp_path, terms))["components"]["schemas"]["GenerateParameters"]
    asked = {"best_of": 3, "truncate": 7, "top_n_tokens": 1}
    numbers = {name: fields["properties"][name]["anyOf"][0] for name in asked}
    assert {name: number["maximum"] for name, number in numbers.items()} == asked
    assert numbers["best_of"]["minimum"] == 1


def test_a_key_is_asked_for_where_one_is_set(tmp_path: Path):
    told = document(ServerSettings("toy", tmp_path, api_key="secret"))
    assert told["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert told["paths"]["/generate"]["post"]["security"] == [{"key": []}]
    assert "security" not in told["paths"]["/info"]["get"]
