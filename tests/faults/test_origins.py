"""Foreign origins and hosts are refused by every server before anything is done; allowed ones can call."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.contract.frontdoor.test_relay import HEAD, SIGNING_KEYS, chunk, stand
from tests.contract.lmi.shop import Shop, open_shop, start
from tests.contract.replica.scripted import AS_MANAGER, Witness, ids_of, serving, settings

from nearstream.client.signing import signed
from nearstream.compose.protection import protection
from nearstream.config.settings import Settings
from nearstream.core.errors import Unusable
from nearstream.replica.openai import server as openai
from nearstream.replica.tgi import server as tgi
from nearstream.wire.browsers import PageRules

APP = "https://app.example"
ALLOWED = PageRules(origins=(APP,))
FOREIGN = (
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Host": "evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
)
ASKS = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-mine",
}
TEXT = {"Content-Type": "text/plain"}


def error_keys(body: bytes) -> set[str]:
    return set(json.loads(body))


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize(
    ("serve", "path", "keys"),
    [(tgi.serve, "/generate", {"error", "error_type"}), (openai.serve, "/v1/completions", {"error"})],
)
async def test_a_model_server_refuses_them_in_its_own_words(
    tmp_path: Path, serve: Any, path: str, keys: set[str], headers: dict[str, str]
):
    engine = Witness(ids_of("hello", tmp_path))
    body = {"inputs": "hi", "prompt": "hi", "model": "toy/model"}
    async with (
        serving(settings(tmp_path, pages=ALLOWED), engine, serve=serve) as server,
        aiohttp.ClientSession(server.url) as session,
    ):
        for method, where in (("POST", path), ("GET", "/health"), ("OPTIONS", path), ("GET", "/none")):
            async with session.request(method, where, json=body, headers=headers) as response:
                assert response.status == 403
                assert error_keys(await response.read()) == keys
                assert "Access-Control-Allow-Origin" not in response.headers
        async with session.post(path, data=json.dumps(body), headers=headers | TEXT) as response:
            assert response.status == 403
        assert not engine.asked


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_an_lmi_server_refuses_them_even_with_its_key(tmp_path: Path, headers: dict[str, str]):
    shop = Shop(tmp_path)
    async with open_shop(shop, *start("m"), pages=ALLOWED) as session:
        for method, path in (
            ("POST", "/invocations"), ("POST", "/predictions/m"), ("POST", "/models?url=/x"),
            ("PUT", "/models/m?min_worker=2"), ("DELETE", "/models/m"), ("GET", "/models"),
            ("POST", "/adapters?name=a&src=/x"), ("POST", "/abort/x"), ("GET", "/ping"),
        ):  # fmt: skip
            call: dict[str, Any] = {"data": b'{"inputs": "hi"}', "headers": headers | TEXT}
            async with session.request(method, path, **call) as response:
                assert response.status == 403
                assert (await response.json())["type"] == "ForbiddenException"
        assert not shop.engines["m"].asked
        async with session.get("/models") as response:
            assert len((await response.json())["models"]) == 1


async def test_whoever_changes_what_runs_needs_the_key_on_every_route(tmp_path: Path):
    async with open_shop(Shop(tmp_path, "0.36.0"), *start("m")) as session:
        del session.headers["Authorization"]
        for method, path in (
            ("POST", "/models?url=/x"), ("PUT", "/models/m?min_worker=2"), ("DELETE", "/models/m"),
            ("PUT", "/models/m/v1"), ("DELETE", "/models/m/v1"), ("POST", "/adapters?name=a&src=/x"),
            ("POST", "/models/m/adapters?name=a&src=/x"), ("DELETE", "/adapters/a"),
            ("DELETE", "/models/m/adapters/a"), ("POST", "/adapters/a/update"),
            ("POST", "/models/m/adapters/a/update"), ("POST", "/abort/x"),
        ):  # fmt: skip
            async with session.request(method, path) as response:
                assert response.status == 401, path
                assert "Authorization: Bearer" in (await response.json())["message"]
            async with session.request(method, path, headers=AS_MANAGER) as response:
                assert response.status != 401, path
            async with session.request(method, path, headers={"Authorization": "Bearer no"}) as response:
                assert response.status == 401, path
        async with session.get("/models") as response:
            assert response.status == 200


async def test_every_error_of_a_model_server_has_the_headers_that_a_page_needs(tmp_path: Path):
    told = settings(tmp_path, pages=ALLOWED, api_key="secret")
    key = {"Authorization": "Bearer secret"}
    engine = Witness(ids_of("hello", tmp_path))
    page = {"Origin": APP}
    async with serving(told, engine) as server, aiohttp.ClientSession(server.url, headers=page) as session:
        body = {"inputs": "hi"}
        calls: list[tuple[int, dict[str, Any]]] = [
            (401, {"json": body}),
            (200, {"json": body, "headers": key}),
            (422, {"json": {}, "headers": key}),
            (415, {"data": "hi", "headers": key | TEXT}),
            (413, {"data": b"x" * 2_100_000, "headers": key | {"Content-Type": "application/json"}}),
        ]
        for status, call in calls:
            async with session.post("/generate", **call) as response:
                assert response.status == status
                assert response.headers["Access-Control-Allow-Origin"] == APP
                assert response.headers["Vary"] == "Origin"
        for path, status in (("/none", 404), ("/generate", 405)):
            async with session.get(path) as response:
                assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (status, APP)
        async with session.options("/generate", headers=ASKS) as response:
            assert response.status == 200
            assert response.headers["Access-Control-Allow-Headers"] == ASKS["Access-Control-Request-Headers"]
            assert response.headers["Access-Control-Allow-Methods"] == "POST"
            assert response.headers["Access-Control-Max-Age"] == "7200"


async def test_the_front_door_answers_an_allowed_page_and_no_other(tmp_path: Path):
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(b"one") + b"0\r\n\r\n")

    path = "/endpoints/e/invocations-response-stream"
    async with asyncio.timeout(20), stand(tmp_path, talk, pages=ALLOWED) as made:
        for headers in FOREIGN:
            for method, where in (("POST", path), ("GET", "/health"), ("OPTIONS", path), ("PUT", "/bucket")):
                async with made.session.request(method, made.url + where, headers=headers) as answer:
                    assert answer.status == 403
                    assert "--" in await answer.text()
        page = {"Origin": APP}
        async with made.session.options(made.url + path, headers=page | ASKS) as answer:
            assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, APP)
            assert answer.headers["Access-Control-Allow-Headers"] == ASKS["Access-Control-Request-Headers"]
        for where, status in ((path, 403), ("/health", 405), ("/none", 403)):
            async with made.session.post(made.url + where, headers=page) as answer:
                assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (status, APP)
        assert await made.parts() == [b"one"]
        url = made.url + path
        headers = {**signed("POST", url, b"{}", {}, SIGNING_KEYS), **page}
        async with made.session.post(url, data=b"{}", headers=headers) as answer:
            assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, APP)
            assert (answer.headers["Vary"], b"one" in await answer.read()) == ("Origin", True)


def test_an_open_management_goes_with_an_address_of_this_machine_alone(tmp_path: Path):
    site = Settings(home=tmp_path)
    for host in ("127.0.0.1", "localhost", "::1"):
        assert protection(host, site, origins=(), api_key=None, open_management=True).management.is_open
    for host in ("0.0.0.0", "::", "10.0.0.1", "box.local"):
        with pytest.raises(Unusable, match="--open-management"):
            protection(host, site, origins=(), api_key=None, open_management=True)


def test_the_management_key_is_made_once_and_is_its_owners_alone(tmp_path: Path):
    site = Settings(home=tmp_path / "home")
    first = protection("127.0.0.1", site, origins=(), api_key=None).management
    again = protection("0.0.0.0", site, origins=(), api_key="mine").management
    file = tmp_path / "home" / "management.key"
    assert (file.stat().st_mode & 0o777, file.read_text().strip()) == (0o600, first.keys[0])
    assert again.keys == ("mine", first.keys[0])
    assert first.reading_is_open
    assert not protection("0.0.0.0", site, origins=(), api_key=None).management.reading_is_open
    assert protection(None, site, origins=(), api_key=None).management.keys == ()
