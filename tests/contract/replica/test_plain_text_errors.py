"""PLAIN_TEXT_ERRORS: what cannot be read is refused as TGI's web framework does, not in JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.contract.replica.scripted import Witness, serving, settings

TEXT = "text/plain; charset=utf-8"
NOT_JSON = "Failed to parse the request body as JSON: "
NOT_FITTING = "Failed to deserialize the JSON body into the target type: "
NOT_SAID = "Expected request with `Content-Type: application/json`"
NOT_WHOLE = "Failed to buffer the request body: "
TOO_LARGE = f"{NOT_WHOLE}length limit exceeded"


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    told = settings(tmp_path, plain_text_errors=True)
    async with serving(told, Witness([7])) as running, aiohttp.ClientSession(running.url) as session:
        yield session


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"data": b"{"}, 400, NOT_JSON),
        ({"data": b"{}"}, 422, NOT_FITTING),
        ({"data": "x", "headers": {"Content-Type": "text/plain"}}, 415, NOT_SAID),
        ({"data": b" " * 2_000_001}, 413, TOO_LARGE),
        ({"data": b"no gzip" * 9, "headers": {"Content-Encoding": "gzip"}}, 400, NOT_WHOLE),
    ],
)
@pytest.mark.parametrize("path", ["/generate", "/generate_stream", "/v1/chat/completions", "/tokenize"])
async def test_what_cannot_be_read_is_refused_in_tgis_plain_text(
    session: aiohttp.ClientSession, path: str, asked: dict[str, Any], status: int, words: str
):
    async with session.post(path, **asked) as got:
        assert (got.status, got.headers["Content-Type"]) == (status, TEXT)
        assert (await got.text()).startswith(words)


async def test_a_conversation_that_does_not_fit_is_refused_so_before_any_stream(
    session: aiohttp.ClientSession,
):
    body = {"messages": [{"role": "nobody"}], "stream": True}
    async with session.post("/v1/chat/completions", json=body) as got:
        assert (got.status, got.headers["Content-Type"]) == (422, TEXT)
        assert (await got.text()).startswith(f"{NOT_FITTING}a turn of role")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nowhere", 404), ("DELETE", "/generate", 405)]
)
async def test_no_such_path_or_method_is_answered_with_nothing(
    session: aiohttp.ClientSession, method: str, path: str, status: int
):
    async with session.request(method, path) as got:
        assert (got.status, await got.read(), "Allow" in got.headers) == (status, b"", status == 405)


async def test_a_broken_rule_is_json_all_the_same(session: aiohttp.ClientSession):
    async with session.post("/generate", json={"inputs": ""}) as got:
        assert (got.status, (await got.json())["error_type"]) == (422, "validation")


async def test_a_good_body_is_answered(session: aiohttp.ClientSession):
    async with session.post("/generate", json={"inputs": "hi"}) as got:
        assert got.status == 200
