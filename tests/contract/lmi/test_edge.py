"""What holds for every call to an LMI server: what a model sees of it, its id, its place."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from tests.contract.lmi.shop import Shop, open_shop, start
from tests.contract.lmi.test_server import ASK, NO_CACHE, text_of
from tests.support.waiting import until

from nearstream.core.rates import Rate
from nearstream.replica.calls import Call
from nearstream.replica.lmi.inbound import CUSTOM_ATTRIBUTES, Inbound
from nearstream.replica.lmi.served import Served, Source
from nearstream.wire.dialects.lmi.terms import Format


class Mirror:
    """A model that answers with what it got to see."""

    adapters = None

    async def answer(self, request: web.Request, inbound: Inbound, call: Call) -> web.StreamResponse:
        if inbound.body == b"break":
            raise RuntimeError("secret")
        content = [[name, value.decode()] for name, value in inbound.content]
        return web.json_response({"content": content, "properties": dict(inbound.properties)})

    async def healthy(self) -> bool:
        return True


class Mirrors(Shop):
    @asynccontextmanager
    async def open(self, source: Source) -> AsyncIterator[Served]:
        yield cast(Any, Mirror())


async def seen(tmp_path: Path, **call: Any) -> dict[str, Any]:
    async with (
        open_shop(Mirrors(tmp_path), *start("m")) as session,
        session.post("/invocations", **call) as response,
    ):
        assert response.status == 200
        return await response.json()


async def test_a_body_is_content_under_data_and_query_parameters_come_before_it(tmp_path: Path):
    found = await seen(tmp_path, params={"top": "1", "as": "ä"}, data=b"x", headers={"X-Mine": "yes"})
    assert found["content"] == [["top", "1"], ["as", "ä"], ["data", "x"]]
    assert found["properties"]["x-mine"] == "yes"


async def test_custom_attributes_are_properties_too(tmp_path: Path):
    said = " Seed = 7;nothing;limit=a=b ;"
    found = (await seen(tmp_path, data=b"x", headers={CUSTOM_ATTRIBUTES: said}))["properties"]
    assert (found["seed"], found["limit"], "nothing" in found) == ("7", "a=b", False)
    assert found[CUSTOM_ATTRIBUTES.lower()] == said.strip()


async def test_a_forms_fields_and_files_are_content(tmp_path: Path):
    form = aiohttp.FormData()
    form.add_field("label", "cat")
    form.add_field("data", b"meow", filename="cat.wav")
    assert (await seen(tmp_path, data=form))["content"] == [["label", "cat"], ["data", "meow"]]
    plain = await seen(tmp_path, data={"label": "dog", "note": "a b"})
    assert plain["content"] == [["label", "dog"], ["note", "a b"]]
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    curled = await seen(tmp_path, data=b' {"inputs": "hi"}', headers=kind)
    assert curled["content"] == [["data", ' {"inputs": "hi"}']]


async def test_a_form_that_cannot_be_read_is_told(tmp_path: Path):
    kind = {"Content-Type": "multipart/form-data"}
    async with (
        open_shop(Mirrors(tmp_path), *start("m")) as session,
        session.post("/invocations", data=b"x", headers=kind) as response,
    ):
        assert (response.status, "form" in (await response.json())["error"]) == (424, True)


@pytest.mark.parametrize(
    ("headers", "body"),
    [("Content-Encoding: gzip\r\nContent-Length: 3", "abc"), ("Transfer-Encoding: chunked", "ZZ\r\nabc\r\n")],
)
async def test_a_body_that_is_not_what_its_headers_promise_is_a_bad_request(
    tmp_path: Path, headers: str, body: str
):
    rates = {"any": Rate(0, 60.0)}
    async with open_shop(Shop(tmp_path), *start("m"), error_rates=rates) as session:
        async with session.get("/ping") as response:
            port = response.url.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"POST /invocations HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n{body}".encode())
        async with asyncio.timeout(10):
            assert (await reader.readline()).split()[1] == b"400"
        writer.close()
        async with session.get("/ping") as response:
            assert response.status == 200


async def test_a_bug_never_shows_its_stack(tmp_path: Path):
    async with (
        open_shop(Mirrors(tmp_path), *start("m")) as session,
        session.post("/invocations", data=b"break") as response,
    ):
        told = {"code": 500, "type": "InternalServerException", "message": "internal error"}
        assert (response.status, await response.json()) == (500, told)


async def test_every_answer_has_an_id_of_its_client_or_its_own_and_is_kept_nowhere(tmp_path: Path):
    async with open_shop(Shop(tmp_path), *start("m")) as session:
        for path, status in (("/invocations", 200), ("/predictions/none", 404)):
            async with session.post(path, json=ASK, headers={"x-request-id": "mine-1"}) as response:
                assert (response.status, response.headers["x-request-id"]) == (status, "mine-1")
            async with session.post(path, json=ASK, headers={"x-request-id": "not an id"}) as response:
                assert len(response.headers["x-request-id"]) == 24
        for path in ("/ping", "/models", "/nowhere"):
            async with session.get(path) as response:
                assert (response.headers["Cache-Control"], response.headers["Pragma"]) == (
                    NO_CACHE,
                    "no-cache",
                )
                assert "Server" not in response.headers


async def test_a_call_is_ended_by_its_id_and_its_client_is_told(tmp_path: Path):
    shop = Shop(tmp_path)
    mine = {"x-request-id": "mine-1"}
    async with open_shop(shop, *start("m")) as session, asyncio.TaskGroup() as tasks:
        engine = shop.engines["m"]
        engine.pause()
        call = tasks.create_task(session.post("/invocations", json=ASK, headers=mine))
        await until(lambda: engine.live == 1)
        async with session.post("/abort/mine-1") as response:
            assert await response.json() == {"request_id": "mine-1", "aborted": True}
        told = await (await call).read()
        assert "aborted" in json.loads(told.splitlines()[-1])["error"]
        assert engine.live == 0
        async with session.post("/abort/mine-1") as response:
            assert (response.status, "has ended" in (await response.json())["message"]) == (404, True)


async def test_a_call_has_a_priority_that_is_one_of_three(tmp_path: Path):
    async with open_shop(Shop(tmp_path), *start("m")) as session:
        for priority in ("high", "normal", "LOW"):
            headers = {"x-nearstream-priority": priority}
            async with session.post("/invocations", json=ASK, headers=headers) as response:
                assert text_of(await response.read()) == "m speaks"
        headers = {"x-nearstream-priority": "urgent"}
        async with session.post("/invocations", json=ASK, headers=headers) as response:
            assert (response.status, "must be high, normal or low" in await response.text()) == (424, True)


@pytest.mark.parametrize(("version", "status"), [("0.25.0", 404), ("0.36.0", 200)])
async def test_openais_routes_are_there_in_the_releases_that_have_them(
    tmp_path: Path, version: str, status: int
):
    chat = {"messages": [{"role": "user", "content": "hi"}]}
    async with open_shop(Shop(tmp_path, version, Format()), *start("m")) as session:
        for path, body in (("/v1/chat/completions", chat), ("/v1/completions", {"prompt": "hi"})):
            async with session.post(path, json=body) as response:
                assert response.status == status


async def test_a_version_is_named_in_the_query_or_a_header(tmp_path: Path):
    sources = [Source("m", "", version, at_startup=True) for version in ("v1", "v2")]
    async with open_shop(Shop(tmp_path), *sources) as session:
        for query, headers, status in (
            ("?model_version=v2", {}, 200),
            ("?model_version=v9", {}, 404),
            ("", {"model_version": "v9"}, 404),
        ):
            async with session.post(f"/invocations{query}", json=ASK, headers=headers) as response:
                assert response.status == status


async def test_what_djl_serving_has_beside_models_is_not_there(tmp_path: Path):
    async with open_shop(Shop(tmp_path), *start("m")) as session:
        for path in ("/workflows", "/v2/health/ready", "/console", "/prometheus"):
            async with session.get(path) as response:
                assert (response.status, (await response.json())["type"]) == (
                    404,
                    "ResourceNotFoundException",
                )
