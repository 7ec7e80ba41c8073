"""Models come and go while the server runs, by DJL Serving's management routes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.contract.lmi.shop import Shop, open_shop, start
from tests.contract.lmi.test_server import ASK, text_of
from tests.support.waiting import until

from nearstream.replica.access import ManagementAccess

NAMED = "must be printable and without a /. Given:"


async def test_a_model_is_registered_listed_described_and_unregistered(tmp_path: Path):
    shop = Shop(tmp_path)
    async with open_shop(shop, *start("first")) as session:
        async with session.post("/models?url=/models/second.tar.gz&batch_size=4") as response:
            assert (response.status, await response.json()) == (200, {"status": 'Model "second" registered.'})
        async with session.get("/models") as response:
            assert await response.json() == {
                "models": [
                    {"modelName": "first", "modelUrl": "", "status": "READY"},
                    {"modelName": "second", "modelUrl": "/models/second.tar.gz", "status": "READY"},
                ]
            }
        async with session.get("/models?limit=1") as response:
            page = await response.json()
            assert ([model["modelName"] for model in page["models"]], page["nextPageToken"]) == (
                ["first"],
                "1",
            )
        async with session.get("/models?limit=1&next_page_token=1") as response:
            page = await response.json()
            assert ([model["modelName"] for model in page["models"]], "nextPageToken" in page) == (
                ["second"],
                False,
            )
        async with session.get("/models/second") as response:
            (described,) = await response.json()
        (about,) = described["models"]
        assert described["workflowName"] == "second"
        assert (about["modelName"], about["status"], about["loadedAtStartup"]) == ("second", "Healthy", False)
        assert about["workerGroups"][0]["workers"][0]["status"] == "READY"
        async with session.post("/predictions/second", json=ASK) as response:
            assert text_of(await response.read()) == "second speaks"
        async with session.delete("/models/second") as response:
            told = {"status": 'Model or workflow "second" unregistered'}
            assert (response.status, await response.json()) == (200, told)
        async with session.post("/predictions/second", json=ASK) as response:
            assert response.status == 404
        await until(lambda: shop.closed == ["second"])
        async with session.post("/invocations", json=ASK) as response:
            assert text_of(await response.read()) == "first speaks"


async def test_a_model_that_does_not_load_is_refused_or_stays_as_failed(tmp_path: Path):
    async with open_shop(Shop(tmp_path), *start("m")) as session:
        async with session.post("/models?url=broken&model_name=x") as response:
            told = {"code": 400, "type": "BadRequestException", "message": "broken holds no model"}
            assert (response.status, await response.json()) == (400, told)
        async with session.get("/models/x") as response:
            assert response.status == 404
        async with session.post("/models?url=broken&model_name=x&synchronous=false") as response:
            told = {"status": 'Model "x" registration scheduled.'}
            assert (response.status, await response.json()) == (202, told)

        async def failed() -> bool:
            async with session.get("/ping") as response:
                return (response.status, (await response.json())["x"]) == (500, {"status": "Failed"})

        await until(failed)
        async with session.get("/models/x") as response:
            (about,) = (await response.json())[0]["models"]
            assert (about["status"], about["error"]) == ("FAILED", "broken holds no model")
        async with session.delete("/models/x") as response:
            assert response.status == 200
        async with session.get("/ping") as response:
            assert response.status == 200


async def test_what_is_asked_of_the_management_wrongly_is_told(tmp_path: Path):
    async with open_shop(Shop(tmp_path), *start("m")) as session:
        for method, path, status, message in (
            ("POST", "/models", 400, "Parameter url is required."),
            ("POST", "/models?url=x&model_name=a/b", 400, f"Parameter model_name {NAMED} 'a/b'"),
            ("POST", "/models?url=x&model_name=a%0Ab", 400, f"Parameter model_name {NAMED} 'a\\nb'"),
            ("POST", "/models?url=x&model_name=m", 409, "Workflow m is already registered."),
            ("GET", "/models?limit=few", 400, "Parameter limit must be a number from 0. Given: 'few'"),
            ("DELETE", "/models/none", 404, "Model or workflow not found: none"),
            ("PUT", "/models/none", 404, "Model or workflow not found: none"),
            ("GET", "/models/none", 404, "Model or workflow not found: none"),
        ):
            async with session.request(method, path) as response:
                assert (response.status, (await response.json())["message"]) == (status, message)


async def test_one_version_is_described_scaled_and_unregistered_and_the_other_stays(tmp_path: Path):
    async with open_shop(Shop(tmp_path), *start("first")) as session:
        for version in ("v1", "v2"):
            async with session.post(f"/models?url=s3://b/m.zip&model_version={version}") as response:
                assert response.status == 200
        async with session.get("/models/m") as response:
            assert [one["version"] for one in await response.json()] == ["v1", "v2"]
        async with session.get("/models/m/v2") as response:
            assert [one["version"] for one in await response.json()] == ["v2"]
        async with session.put("/models/m/v2?min_worker=1") as response:
            assert response.status == 200
        async with session.delete("/models/m/v1") as response:
            assert response.status == 200
        async with session.get("/models/m") as response:
            assert [one["version"] for one in await response.json()] == ["v2"]
        async with session.get("/ping") as response:
            assert set(await response.json()) == {"first", "m:v2"}


async def test_an_engine_has_one_worker_however_it_is_scaled(tmp_path: Path):
    async with open_shop(Shop(tmp_path), *start("m")) as session:
        async with session.put("/models/m?min_worker=1&max_worker=1") as response:
            told = 'Workflow "m" worker scaled. New Worker configuration min workers:1 max workers:1'
            assert (response.status, (await response.json())["status"]) == (200, told)
        async with session.put("/models/m?min_worker=2") as response:
            assert response.status == 400
            assert "one worker" in (await response.json())["message"]


async def test_a_call_under_way_ends_before_its_model_leaves(tmp_path: Path):
    shop = Shop(tmp_path)
    async with open_shop(shop, *start("m")) as session, asyncio.TaskGroup() as tasks:
        engine = shop.engines["m"]
        engine.pause()
        call = tasks.create_task(session.post("/predictions/m", json=ASK))
        await until(lambda: engine.live == 1)
        async with session.delete("/models/m") as response:
            assert response.status == 200
        async with session.post("/predictions/m", json=ASK) as response:
            assert response.status == 404
        assert not shop.closed
        engine.resume()
        assert text_of(await (await call).read()) == "m speaks"
        await until(lambda: shop.closed == ["m"])


async def test_a_server_that_others_can_reach_is_managed_and_looked_at_with_a_key_alone(tmp_path: Path):
    access = ManagementAccess(("right",), reading_is_open=False)
    async with open_shop(Shop(tmp_path), *start("m"), management=access) as session:
        for method, path in (("GET", "/models"), ("POST", "/models?url=x"), ("DELETE", "/models/m")):
            async with session.request(method, path) as response:
                assert response.status == 401
                assert "management key or API_KEY" in (await response.json())["message"]
        async with session.get("/models", headers={"Authorization": "Bearer right"}) as response:
            assert response.status == 200
        async with session.post("/models/m/invoke", json=ASK) as response:
            assert response.status == 200


async def test_a_model_that_breaks_as_nobody_expected_leaves_the_others_alone(tmp_path: Path):
    async with open_shop(Shop(tmp_path), *start("m")) as session:
        async with session.post("/models?url=bug&model_name=x") as response:
            assert (response.status, (await response.json())["message"]) == (
                400,
                "x broke: nobody thought of this",
            )
        async with session.post("/predictions/m", json=ASK) as response:
            assert text_of(await response.read()) == "m speaks"
