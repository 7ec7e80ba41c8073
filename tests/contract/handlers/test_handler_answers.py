"""What a handler returns, as its caller gets it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import uvloop
from tests.contract.handlers.models import Models, asked, call

from nearstream.core.handlers import HandlerInput

PLAIN = """
    def handle(inputs):
        if inputs.is_empty():
            return None
        return Output().add({"got": inputs.get_as_json(), "kind": inputs.get_property("x-KIND")})
"""


async def test_a_handler_answers_with_json(models: Models):
    async with models.open(PLAIN) as workers:
        answer = await call(workers, {"inputs": "höllo"}, **{"X-Kind": "b"})
    assert answer.head.code == 200 and answer.head.properties == {"Content-Type": "application/json"}
    assert answer.json() == {"got": {"inputs": "höllo"}, "kind": "b"}
    assert "höllo".encode() in answer.body and answer.body.startswith(b'{\n  "got":{')


def test_it_is_the_same_on_the_servers_event_loop(models: Models):
    async def story() -> None:
        async with models.open(PLAIN) as workers:
            assert (await call(workers, 1)).json()["got"] == 1
        assert not any(slot.ready for slot in workers.running)

    uvloop.run(story())


async def test_the_first_call_is_empty_and_has_the_models_properties(models: Models):
    source = """
        first = {}
        def handle(inputs):
            if inputs.is_empty():
                first.update(inputs.get_properties(), named=inputs.get_function_name(), cwd=os.getcwd())
                return None
            return Output().add(first)
    """
    async with models.open(source, properties={"model_id": "org/name", "task": "draw"}) as workers:
        first = (await call(workers)).json()
    assert (first["model_id"], first["task"], first["device_id"]) == ("org/name", "draw", -1)
    assert first["model_dir"] == first["cwd"] == str(models.path / "model") and first["named"] == "handle"


async def test_a_handler_may_read_the_query_headers_and_its_own_folder(models: Models):
    (models.folder("") / "words.txt").write_text("from a file")
    models.folder("def double(x): return 2 * x", "beside.py")
    source = """
        from beside import double
        def handle(inputs):
            if inputs.is_empty():
                return None
            words = open("words.txt").read()
            return Output().add([inputs.get_as_string("q"), inputs.get_as_string(), words, double(2)])
    """
    given = HandlerInput((("data", b"body"), ("q", b"query")), {"Content-Type": "text/plain"})
    async with models.open(source) as workers:
        said: list[Any] = [part async for part in workers.invoke(given)]
    assert json.loads(said[1]) == ["query", "body", "from a file", 4]


@pytest.mark.parametrize(
    ("expression", "code", "media", "body"),
    [
        ("None", 204, None, b""),
        ("Output().add('höi')", 200, "text/plain; charset=utf-8", "höi".encode()),
        ("Output().add(b'\\x89PNG')", 200, "application/octet-stream", b"\x89PNG"),
        (
            "Output(201, 'Made').add_property('X-A', 3).add(b'x', key='k')",
            201,
            "application/octet-stream",
            b"x",
        ),
        ("Output().add(b'1', key='a').add(b'2', key='data')", 200, "application/octet-stream", b"2"),
        ("Output().add_property('content-type', 'image/png').add(b'p')", 200, "image/png", b"p"),
        ("Output().set_code(418).set_message('Teapot').add('t')", 418, "text/plain; charset=utf-8", b"t"),
    ],
)
async def test_each_kind_of_answer(models: Models, expression: str, code: int, media: str, body: bytes):
    async with models.open(
        f"def handle(inputs):\n    return None if inputs.is_empty() else {expression}"
    ) as workers:
        answer = await call(workers)
    found = {name.lower(): value for name, value in answer.head.properties.items()}
    assert (answer.head.code, found.get("content-type"), answer.body) == (code, media, body)


async def test_a_handler_tells_of_an_error_in_djls_words(models: Models):
    source = """
        def handle(inputs):
            return None if inputs.is_empty() else Output().error("no such picture", 404)
    """
    async with models.open(source) as workers:
        answer = await call(workers)
    assert answer.head.code == 404
    assert answer.json() == {"code": 404, "message": "invoke handler failure", "error": "no such picture"}


async def test_something_else_than_an_output_is_refused(models: Models):
    async with models.open("def handle(inputs):\n    return {'a': 1}") as workers:
        answer = await call(workers)
    assert answer.head.code == 424 and "Invalid output type: <class 'dict'>" in answer.json()["error"]


async def test_a_batch_of_one_may_be_answered_as_a_batch(models: Models):
    source = """
        def handle(inputs):
            if inputs.is_empty():
                return None
            output = Output()
            for index, one in enumerate(inputs.get_batches()):
                output.add(one.get_as_json() * 2, key="data", batch_index=index)
            return output
    """
    async with models.open(source) as workers:
        assert (await call(workers, 21)).json() == 42


async def test_finalize_runs_once_the_answer_is_sent(models: Models, log: list[dict[str, Any]]):
    source = """
        def handle(inputs):
            return None if inputs.is_empty() else Output().add("x").finalize(print, "finalized", 1)
    """
    async with models.open(source) as workers:
        await call(workers)
    assert "finalized 1" in [line.get("line") for line in log]


async def test_a_plain_handler_may_use_an_event_loop_of_its_own(models: Models):
    source = """
        async def answer():
            return 7
        def handle(inputs):
            return None if inputs.is_empty() else Output().add(asyncio.run(answer()))
    """
    async with models.open(source) as workers:
        assert (await call(workers)).json() == 7


async def test_async_handlers_work_at_the_same_time(models: Models):
    source = """
        here, all_here = [], asyncio.Event()
        async def handle(inputs):
            if inputs.is_empty():
                return None
            here.append(inputs.get_as_json())
            if len(here) == 5:
                all_here.set()
            await all_here.wait()
            return Output().add(inputs.get_as_json())
    """
    async with models.open(source) as workers:
        answers = await asyncio.gather(*(call(workers, number) for number in range(5)))
    assert [answer.json() for answer in answers] == [0, 1, 2, 3, 4]


async def test_an_async_handler_may_answer_in_parts(models: Models):
    source = """
        from djl_python.async_utils import create_stream_chunk_output, create_non_stream_output
        async def parts(fail):
            for word in ("one", "two"):
                yield create_stream_chunk_output({"word": word}, False)
            yield create_stream_chunk_output("", True, error="broke" if fail else None)
        async def handle(inputs):
            if inputs.is_empty():
                return None
            wish = inputs.get_as_json()
            return parts(wish == "fail") if wish != "whole" else create_non_stream_output({"all": 1})
    """
    async with models.open(source) as workers:
        streamed, whole = await call(workers, "stream"), await call(workers, "whole")
        failing = workers.invoke(asked("fail"))
        with pytest.raises(Exception, match="broke"):
            async for _ in failing:
                pass
    assert streamed.head.properties["Content-Type"] == "application/jsonlines"
    assert [json.loads(chunk) for chunk in streamed.chunks[:2]] == [{"word": "one"}, {"word": "two"}]
    assert whole.json() == {"all": 1}


async def test_an_async_handler_with_no_parts_has_no_content(models: Models):
    source = """
        async def handle(inputs):
            for part in ():
                yield part
    """
    async with models.open(source) as workers:
        assert (await call(workers)).head.code == 204


async def test_nothing_of_the_server_can_be_imported_but_what_it_uses_can(models: Models):
    source = """
        import numpy
        try:
            import nearstream
        except ImportError as error:
            said = str(error)
        def handle(inputs):
            return Output().add([said, sorted(os.environ), sys.flags.safe_path])
    """
    async with models.open(source) as workers:
        said, variables, safe = (await call(workers)).json()
    assert "nearstream" in said and safe
    assert not [name for name in variables if name.startswith(("AWS", "NEARSTREAM"))]
