"""A user's own handler behind the server: what its client gets when it works and however it fails."""

from __future__ import annotations

import shutil
from pathlib import Path
from textwrap import dedent

import aiohttp
import pytest
from tests.contract.lmi.real import serving
from tests.support.waiting import until

HANDLER = """
    import os
    import time

    from djl_python import Input, Output


    def words(count):
        for number in range(count):
            yield f" word{number}"


    def broken():
        yield " one"
        raise ValueError("after the first")


    def halves():
        yield bytes(range(256))
        raise ValueError("half an image")


    def handle(inputs: Input):
        if inputs.is_empty():
            return None
        what, out = inputs.get_as_json()["do"], Output()
        if what == "stream":
            return out.add_property("content-type", "application/jsonlines").add_stream_content(words(3))
        if what == "break":
            return out.add_property("content-type", "application/jsonlines").add_stream_content(broken())
        if what == "image":
            out.add_property("content-type", "image/png")
            return out.add_stream_content(iter([bytes([number]) * 1000 for number in range(5)]), None)
        if what == "half":
            out.add_property("content-type", "image/png")
            return out.add_stream_content(halves(), None)
        if what == "raise":
            raise ValueError("before the first")
        if what == "exit":
            os._exit(3)
        if what == "sleep":
            time.sleep(600)
        if what == "print":
            print("x" * 1_000_000)
        if isinstance(what, int):
            return Output(code=what).add("x")
        if what == "header":
            return out.add_property("X-Mine", "yes").add(inputs.get_property("x-asked"))
        return out.add_as_json({"did": what})
"""


def write(folder: Path, **files: str) -> Path:
    folder.mkdir()
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(dedent(text))
    return folder


async def ask(session: aiohttp.ClientSession, what: object) -> tuple[int, str, bytes]:
    async with session.post("/invocations", json={"do": what}) as response:
        return response.status, response.content_type, await response.read()


async def test_whatever_a_handler_does_its_client_hears_of_it_and_the_server_serves_on(tmp_path: Path):
    folder = write(tmp_path / "own", model__py=HANDLER, serving__properties="option.predict_timeout=1\n")
    log = tmp_path / "log"
    async with serving(folder, "0.25.0", log) as session:
        lines = b"".join(b'{"outputs": " word%d"}\n' % number for number in range(3))
        assert await ask(session, "stream") == (200, "application/jsonlines", lines)
        assert await ask(session, "break") == (
            200,
            "application/jsonlines",
            b'{"outputs": " one"}\n{"code": 424, "error": "after the first"}\n',
        )
        image = b"".join(bytes([number]) * 1000 for number in range(5))
        assert await ask(session, "image") == (200, "image/png", image)
        with pytest.raises(aiohttp.ClientPayloadError):
            await ask(session, "half")
        status, kind, body = await ask(session, "raise")
        assert (status, kind) == (424, "application/json")
        assert b"before the first" in body and b"Traceback" not in body
        for code in (99, 100, 1000):
            status, _, body = await ask(session, code)
            assert (status, f"the status {code}".encode() in body) == (424, True)
        status, _, body = await ask(session, "exit")
        assert (status, b"ended with status 3" in body) == (424, True)
        status, _, body = await ask(session, "sleep")
        assert (status, b"predict timeout" in body) == (424, True)
        assert (await ask(session, "print"))[0] == 200
        asked = {"X-Asked": "this"}
        async with session.post("/invocations", json={"do": "header"}, headers=asked) as response:
            assert (response.headers["X-Mine"], await response.read()) == ("yes", b"this")
        assert (await ask(session, "more"))[0] == 200
        async with session.get("/ping") as response:
            assert (response.status, await response.json()) == (200, {"own": {"status": "Healthy"}})
    told = log.read_text()
    for line in ("ValueError: before the first", "ValueError: after the first", "x" * 1000):
        assert line in told


async def test_workers_are_scaled_and_a_dead_one_is_told_of(tmp_path: Path):
    folder = write(tmp_path / "own", model__py=HANDLER)
    async with serving(folder, "0.25.0", tmp_path / "log") as session:

        async def workers() -> int:
            async with session.get("/models/own") as response:
                (about,) = (await response.json())[0]["models"]
                return sum(one["status"] == "READY" for one in about["workerGroups"][0]["workers"])

        assert await workers() == 1
        async with session.put("/models/own?min_worker=2&max_worker=2") as response:
            assert response.status == 200

        async def both_ready() -> bool:
            return await workers() == 2

        await until(both_ready, within_s=20)
        async with session.put("/models/own?min_worker=3&max_worker=0") as response:
            assert response.status == 200  # as DJL: the higher of both is meant
        async with session.put("/models/own?min_worker=no") as response:
            assert response.status == 400


async def test_a_registration_fills_in_what_the_models_own_file_leaves_open(tmp_path: Path):
    folder = write(tmp_path / "own", model__py=HANDLER, serving__properties="batch_size=2\n")
    archive = shutil.make_archive(str(tmp_path / "packed"), "gztar", folder)
    async with serving(folder, "0.25.0", tmp_path / "log") as session:
        numbers = "batch_size=4&max_batch_delay=7&job_queue_size=9&min_worker=2&max_worker=3"
        async with session.post(f"/models?url={archive}&{numbers}") as response:
            assert (response.status, await response.json()) == (
                200,
                {"status": 'Model "packed" registered.'},
            )
        async with session.get("/models/packed") as response:
            (about,) = (await response.json())[0]["models"]
        (group,) = about["workerGroups"]
        assert (about["batchSize"], about["maxBatchDelayMillis"], about["queueSize"]) == (2, 7, 9)
        assert (group["minWorkers"], group["maxWorkers"]) == (2, 3)
        async with session.post("/predictions/packed", json={"do": "more"}) as response:
            assert response.status == 200


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"model__py": HANDLER, "requirements__txt": "./not-here.whl\n"}, "not-here.whl"),
        ({"model__py": "def handle(inputs:\n"}, "SyntaxError"),
        ({"model__py": "def other(inputs):\n    return None\n"}, "handle"),
        ({"model__py": "def handle(inputs):\n    raise RuntimeError('no weights')\n"}, "no weights"),
    ],
)
async def test_a_handler_that_cannot_be_loaded_ends_the_server_with_the_reason(
    tmp_path: Path, files: dict[str, str], reason: str
):
    log = tmp_path / "log"
    with pytest.raises(AssertionError, match="it ended"):
        async with serving(write(tmp_path / "own", **files), "0.25.0", log):
            pass
    assert reason in log.read_text().splitlines()[-1]


ADAPTED = """
    from djl_python import Output

    known = {}


    def register_adapter(inputs):
        if not inputs.get_property("src").startswith("/"):
            raise ValueError("no weights there")
        known[inputs.get_property("name")] = inputs.get_as_string("pin") if inputs.contains_key("pin") else ""
        return Output(message="registered")


    def update_adapter(inputs):
        known[inputs.get_property("name")] = "updated"
        return Output()


    def unregister_adapter(inputs):
        del known[inputs.get_property("name")]
        return Output()


    def handle(inputs):
        return None if inputs.is_empty() else Output().add_as_json(known)
"""


async def test_a_handler_is_told_of_adapters_in_its_folder_and_of_those_that_calls_register(tmp_path: Path):
    folder = write(tmp_path / "own", model__py=ADAPTED, serving__properties="option.enable_lora=true\n")
    (folder / "adapters" / "first").mkdir(parents=True)
    async with serving(folder, "0.36.0", tmp_path / "log") as session:

        async def known() -> object:
            async with session.post("/invocations", json={}) as response:
                return await response.json(content_type=None)

        assert await known() == {"first": ""}
        where = "/models/own/adapters"
        async with session.post(f"{where}?name=second&src=/s&pin=true") as response:
            assert (response.status, (await response.json())["status"]) == (200, "Adapter second registered")
        assert await known() == {"first": "", "second": "true"}
        async with session.post(f"{where}?name=third&src=hub") as response:
            assert response.status == 400 and "no weights there" in (await response.json())["message"]
        async with session.post(f"{where}/second/update?src=/t") as response:
            assert response.status == 200
        async with session.delete(f"{where}/first") as response:
            assert response.status == 200
        assert await known() == {"second": "updated"}
        async with session.get(where) as response:
            assert [(one["name"], one["src"]) for one in (await response.json())["adapters"]] == [
                ("second", "/t")
            ]


async def test_the_variable_for_models_to_load_names_the_model(tmp_path: Path):
    folder = write(tmp_path / "own", model__py=HANDLER)
    variables = {"SERVING_LOAD_MODELS": "chat::Python=/opt/ml/model"}
    async with serving(folder, "0.25.0", tmp_path / "log", **variables) as session:
        async with session.get("/ping") as response:
            assert await response.json() == {"chat": {"status": "Healthy"}}
        async with session.post("/predictions/chat", json={"do": "more"}) as response:
            assert (response.status, await response.json()) == (200, {"did": "more"})
