"""LoRA adapters of an LMI model on the real engine: from its folder, and registered while it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
from tests.contract.lmi.real import serving
from tests.contract.lmi.shop import Shop, open_shop, start
from tests.support.lora import saying, write_adapter

PROPERTIES = "option.model_id=any/model\noption.enable_lora=true\noption.dtype=fp32\n"
ASK = {"inputs": "hello", "parameters": {"max_new_tokens": 3, "details": True}, "stream": True}


async def said(session: aiohttp.ClientSession, path: str = "/invocations", **more: Any) -> list[int]:
    headers = more.pop("headers", {})
    async with session.post(path, json=ASK | more, headers=headers) as response:
        assert response.status == 200, await response.text()
        return [json.loads(line)["token"]["id"] for line in (await response.read()).splitlines()]


async def test_adapters_come_from_the_folder_and_by_registration_and_are_named_four_ways(tmp_path: Path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "serving.properties").write_text(PROPERTIES)
    write_adapter(folder / "adapters" / "mine", saying(77))
    other = write_adapter(tmp_path / "other", saying(99))
    async with serving(folder, "0.36.0", tmp_path / "log") as session:
        plain = await said(session)
        assert plain != [77] * 3
        assert await said(session, adapters="mine") == [77] * 3
        assert await said(session, "/invocations?adapter=mine") == [77] * 3
        header = {"X-Amzn-SageMaker-Adapter-Identifier": "mine"}
        assert await said(session, headers=header) == [77] * 3
        async with session.post(f"/models/model/adapters?name=other&src={other}") as response:
            assert (response.status, await response.json()) == (200, {"status": "Adapter other registered"})
        assert await said(session, adapters="other") == [99] * 3
        assert await said(session) == plain
        async with session.get("/adapters") as response:
            listed = (await response.json())["adapters"]
            assert [(one["name"], one["pin"]) for one in listed] == [("mine", True), ("other", True)]
        async with session.get("/adapters/mine") as response:
            assert await response.json() == listed[0]
        async with session.post(f"/adapters/mine/update?src={other}") as response:
            assert response.status == 200
        assert await said(session, adapters="mine") == [99] * 3
        async with session.delete("/adapters/other") as response:
            assert response.status == 200
        for path, body in (("/invocations?adapter=other", {}), ("/invocations", {"adapters": "other"})):
            async with session.post(path, json=ASK | body) as response:
                assert (response.status, (await response.json())["error"]) == (
                    424,
                    "Adapter other is not registered",
                )


async def test_what_is_asked_of_adapters_wrongly_is_told(tmp_path: Path):
    async with open_shop(Shop(tmp_path), *start("a", "b")) as session:
        for method, path, status, message in (
            ("GET", "/adapters", 400, "The adapter must be prefixed with a model"),
            ("GET", "/models/a/adapters", 400, "LoRA is not enabled: set option.enable_lora=true"),
            ("POST", "/models/a/adapters", 400, "Parameter name is required."),
            ("GET", "/models/c/adapters", 404, "Model or workflow not found: c"),
        ):
            async with session.request(method, path) as response:
                assert response.status == status
                assert message in (await response.json())["message"]
