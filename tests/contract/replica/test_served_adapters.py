"""Adapters of a running server: loaded, asked for, unloaded, over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiohttp
import numpy as np
import pytest
from openai import AsyncOpenAI
from tests.contract.replica.scripted import AS_MANAGER, MANAGER, Server, Witness, serving, settings
from tests.support.lora import pair, saying, write_adapter
from tests.support.waiting import until

from nearstream.core.errors import Unusable
from nearstream.engines.openvino.engine import OpenVINOEngine
from nearstream.engines.openvino.settings import OpenVINOSettings
from nearstream.models.builtin import builtin_path
from nearstream.models.lora.modules import Modules, adaptable_modules
from nearstream.models.lora.store import AdapterStore
from nearstream.replica.access import ManagementAccess
from nearstream.replica.adapters import Adapters
from nearstream.replica.settings import ServerSettings
from nearstream.replica.tgi.server import serve
from nearstream.wire.dialects.hf.terms import Terms
from nearstream.wire.dialects.limits import Limits

SMALL = {"lm_head": (256, 4)}
LIMITS = Limits(max_input_tokens=64, max_total_tokens=128)
GREEDY = {"max_new_tokens": 3, "details": True}


def scripted_saying(folder: Path, token: int) -> str:
    outputs = np.zeros((256, 1))
    outputs[token] = 1
    return str(write_adapter(folder, pair("lm_head", np.ones((1, 4)), outputs)))


def adapters_in(folder: Path, base: Modules = SMALL, **configured: str) -> Adapters:
    (folder / "prepared").mkdir(exist_ok=True)
    store = AdapterStore(base, folder / "prepared", lambda text: None)
    return Adapters(store.prepare, tuple(configured.items()), taken="toy/model")


@asynccontextmanager
async def scripted(tmp_path: Path, *, key: str | None = None, **configured: str) -> AsyncIterator[Server]:
    adapters = adapters_in(tmp_path, SMALL, **configured)
    told = settings(tmp_path, terms=Terms(limits=LIMITS, adapters=adapters), api_key=key)
    async with serving(told, Witness([7]), adapters=adapters) as running:
        yield running


class Client:
    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url, self.session = url, session

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        async with self.session.request(method, self.url + path, json=body, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    async def load(self, name: str, source: str) -> tuple[int, Any]:
        return await self.call("POST", "/adapters", {"name": name, "source": source}, **AS_MANAGER)

    async def unload(self, name: str) -> tuple[int, Any]:
        return await self.call("DELETE", f"/adapters/{name}", **AS_MANAGER)

    async def names(self) -> list[str]:
        return [adapter["name"] for adapter in (await self.call("GET", "/adapters"))[1]["adapters"]]

    async def said(self, adapter: str | None = None, inputs: str = "hello", **parameters: Any) -> list[int]:
        asked = GREEDY | parameters | ({"adapter_id": adapter} if adapter else {})
        status, answer = await self.call("POST", "/generate", {"inputs": inputs, "parameters": asked})
        assert status == 200, answer
        return [token["id"] for token in answer["details"]["tokens"]]


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(url, session)


async def test_adapters_that_are_configured_are_there_when_the_server_is_ready(tmp_path):
    parrot = scripted_saying(tmp_path / "parrot", 20)
    async with scripted(tmp_path, parrot=parrot) as server, client_of(server.url) as client:
        assert await client.call("GET", "/adapters") == (
            200,
            {"adapters": [{"name": "parrot", "source": parrot}]},
        )
        assert await client.said("parrot") == [20] * 3
        assert await client.said() == [7] * 3


async def test_a_configured_adapter_that_cannot_be_used_ends_the_server_with_the_reason(tmp_path):
    with pytest.RaisesGroup(pytest.RaisesExc(Unusable, match="/nowhere")):
        async with scripted(tmp_path, parrot="/nowhere"):
            pass


async def test_an_adapter_comes_and_goes_while_the_server_runs(tmp_path):
    source = scripted_saying(tmp_path / "parrot", 20)
    async with scripted(tmp_path) as server, client_of(server.url) as client:
        assert await client.said("org/parrot@1") == [7] * 3
        loaded = {"name": "org/parrot@1", "source": source}
        assert await client.load("org/parrot@1", source) == (200, loaded)
        assert await client.said("org/parrot@1") == [20] * 3
        assert await client.unload("org/parrot@1") == (200, loaded)
        assert await client.names() == []
        assert await client.said("org/parrot@1") == [7] * 3
        assert list((tmp_path / "prepared").iterdir()) == []


async def test_an_unknown_adapter_means_the_base_model(tmp_path):
    parrot = scripted_saying(tmp_path / "parrot", 20)
    async with scripted(tmp_path, parrot=parrot) as server, client_of(server.url) as client:
        assert await client.said("owl") == [7] * 3
        assert server.engine.asked[-1][1].adapter is None


async def test_the_model_of_a_chat_names_an_adapter(tmp_path):
    parrot = scripted_saying(tmp_path / "parrot", 20)
    async with (
        scripted(tmp_path, parrot=parrot) as server,
        AsyncOpenAI(base_url=f"{server.url}/v1", api_key="-") as openai,
    ):
        for model, adapter in (("parrot", "parrot"), ("toy/model", None), ("gpt-4o", None)):
            chat = [{"role": "user", "content": "hello"}]
            await openai.chat.completions.create(model=model, messages=chat, max_tokens=2)
            assert server.engine.asked[-1][1].adapter == adapter
            await openai.completions.create(model=model, prompt="hello", max_tokens=2)
            assert server.engine.asked[-1][1].adapter == adapter


async def test_names_that_are_taken_and_names_that_are_none_are_refused(tmp_path):
    parrot = scripted_saying(tmp_path / "parrot", 20)
    async with scripted(tmp_path, parrot=parrot) as server, client_of(server.url) as client:
        for name, status in (("parrot", 409), ("toy/model", 409), ("a b", 422), ("", 422), ("a" * 201, 422)):
            assert (await client.load(name, parrot))[0] == status, name
        assert (await client.unload("owl"))[0] == 404
        assert await client.names() == ["parrot"]


async def test_a_broken_adapter_is_refused_with_the_reason_and_the_server_serves_on(tmp_path):
    half = Path(scripted_saying(tmp_path / "half", 20)) / "adapter_model.safetensors"
    half.write_bytes(half.read_bytes()[:600])
    foreign = write_adapter(tmp_path / "foreign", pair("lm_head", np.ones((1, 8)), np.ones((256, 1))))
    unknown = write_adapter(tmp_path / "unknown", pair("q_proj", np.ones((1, 4)), np.ones((4, 1))))
    async with scripted(tmp_path) as server, client_of(server.url) as client:
        for folder, told in ((half.parent, "cut short"), (foreign, "[1, 8]"), (unknown, "q_proj")):
            status, answer = await client.load("broken", str(folder))
            assert (status, answer["error_type"]) == (422, "unusable")
            assert told in answer["error"]
        assert await client.names() == []
        assert await client.said("broken") == [7] * 3
        assert list((tmp_path / "prepared").iterdir()) == []


class Mute:
    """An engine without adapters."""

    def __init__(self) -> None:
        self._engine = Witness([7])

    def __getattr__(self, name: str) -> Any:
        if "adapter" in name:
            raise AttributeError(name)
        return getattr(self._engine, name)


async def test_a_server_whose_engine_takes_no_adapters_says_so(tmp_path):
    async with serving(settings(tmp_path), cast(Any, Mute())) as server, client_of(server.url) as client:
        for status, answer in (await client.load("parrot", "/nowhere"), await client.unload("parrot")):
            assert (status, answer["error"]) == (422, "the engine takes no adapters")


async def test_while_the_model_loads_adapters_are_not_ready(tmp_path):
    gate = asyncio.Event()
    async with (
        serving(settings(tmp_path), Witness([7]), gate=gate) as server,
        client_of(server.url) as client,
    ):
        assert (await client.load("parrot", "/nowhere"))[0] == 503
        gate.set()


@pytest.mark.parametrize("key", [None, "secret"])
async def test_loading_and_unloading_need_the_key(tmp_path, key):
    parrot = scripted_saying(tmp_path / "parrot", 20)
    async with scripted(tmp_path, key=key, parrot=parrot) as server, client_of(server.url) as client:
        for headers, status in (({}, 401), ({"Authorization": "Bearer wrong"}, 401)):
            body = {"name": "owl", "source": parrot}
            assert (await client.call("POST", "/adapters", body, **headers))[0] == status
            assert (await client.call("DELETE", "/adapters/parrot", **headers))[0] == status
        assert await client.names() == ["parrot"]
        right = {"Authorization": f"Bearer {key or MANAGER}"}
        assert (await client.call("DELETE", "/adapters/parrot", **right))[0] == 200


async def test_an_adapter_unloaded_while_a_request_waits_in_line_leaves_it_the_base_model(tmp_path):
    parrot = scripted_saying(tmp_path / "parrot", 20)
    adapters = adapters_in(tmp_path, parrot=parrot)
    told = settings(tmp_path, terms=Terms(limits=LIMITS, adapters=adapters), max_batch_size=1)
    async with (
        serving(told, Witness([7]), adapters=adapters) as server,
        client_of(server.url) as client,
    ):
        server.engine.pause()
        first = asyncio.ensure_future(client.said("parrot"))
        second = asyncio.ensure_future(client.said("parrot"))

        async def second_waits() -> bool:
            return "\ntgi_queue_size 1\n" in await metrics(client)

        await until(second_waits, within_s=10)
        await client.unload("parrot")
        server.engine.resume()
        assert await first == [20] * 3
        assert await second == [7] * 3


async def metrics(client: Client) -> str:
    async with client.session.get(client.url + "/metrics") as response:
        return await response.text()


@asynccontextmanager
async def on_openvino(tmp_path: Path, **configured: str) -> AsyncIterator[Client]:
    """The built-in model, in 32 bits so that answers can be compared."""
    model, addresses = builtin_path(), list[str]()
    base, stop, ready = adaptable_modules(model), asyncio.Event(), asyncio.Event()
    adapters = adapters_in(tmp_path, base, **configured)
    terms = Terms(limits=Limits(max_input_tokens=512, max_total_tokens=1024), adapters=adapters)
    engine = OpenVINOSettings(
        model,
        context_tokens=1024,
        vocab_size=4096,
        kv_bytes_per_token=8192,
        adaptable=base,
        properties=(("INFERENCE_PRECISION_HINT", "f32"),),
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(
            serve(
                ServerSettings(
                    "builtin", model, terms, port=0, grace_s=5, management=ManagementAccess((MANAGER,))
                ),
                lambda: OpenVINOEngine.open(engine),
                adapters=adapters,
                stop=stop,
                on_listening=addresses.extend,
                on_ready=ready.set,
            )
        )
        await ready.wait()
        async with client_of(addresses[0]) as client:
            yield client
        stop.set()


async def test_two_requests_at_once_have_the_model_with_and_without_an_adapter(tmp_path):
    parrot = str(write_adapter(tmp_path / "parrot", saying(77)))
    async with on_openvino(tmp_path) as client:
        plain = await client.said(max_new_tokens=40)
        assert (await client.load("parrot", parrot))[0] == 200
        asked = [None, "parrot", None, "parrot"]
        answers = await asyncio.gather(*(client.said(adapter, max_new_tokens=40) for adapter in asked))
        assert answers == [plain, [77] * 40] * 2


async def test_no_request_fails_while_adapters_come_and_go(tmp_path):
    sources = {token: str(write_adapter(tmp_path / f"{token}", saying(token))) for token in (77, 99)}
    async with on_openvino(tmp_path) as client:
        plain = await client.said(max_new_tokens=20)
        stop, made = asyncio.Event(), list[tuple[str | None, list[int]]]()

        async def traffic(adapter: str | None) -> None:
            while not stop.is_set():
                made.append((adapter, await client.said(adapter, max_new_tokens=20)))

        async with asyncio.TaskGroup() as tasks:
            for adapter in (None, None, "77", "99"):
                tasks.create_task(traffic(adapter))
            for _ in range(3):
                for token, source in sources.items():
                    assert (await client.load(str(token), source))[0] == 200
                    assert await client.said(str(token)) == [token] * 3
                assert (await client.load("broken", str(tmp_path)))[0] == 422
                for token in sources:
                    assert (await client.unload(str(token)))[0] == 200
            stop.set()
        said = {None: {tuple(plain)}} | {str(t): {tuple(plain), (t,) * 20} for t in sources}
        assert made
        for adapter, answer in made:
            assert tuple(answer) in said[adapter]
