"""Streams: one chunk an item, as fast as they are read, ended when their reader leaves."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from tests.contract.handlers.models import WAIT_S, Models, asked, call
from tests.support.waiting import until

from nearstream.core.errors import HandlerFailed
from nearstream.core.handlers import HandlerHead
from nearstream.handlers.workers import HandlerWorkers

GENERATORS = {
    "a plain handler": """
        def items(path):
            count = 0
            try:
                while True:
                    count += 1
                    open(path, "w").write(str(count))
                    yield [str(count)]
            finally:
                open(path + ".closed", "w").write("closed")
        def handle(inputs):
            if inputs.is_empty():
                return None
            return Output().add_stream_content(items(inputs.get_as_json()))
    """,
    "an async handler": """
        async def items(path):
            count = 0
            try:
                while True:
                    count += 1
                    open(path, "w").write(str(count))
                    yield [str(count)]
                    await asyncio.sleep(0)
            finally:
                open(path + ".closed", "w").write("closed")
        async def handle(inputs):
            if inputs.is_empty():
                return None
            return Output().add_stream_content(items(inputs.get_as_json()))
    """,
}
GENERATORS["an async handler with a plain generator"] = GENERATORS["a plain handler"].replace(
    "def handle", "async def handle"
)
GENERATORS["a plain handler with an async generator"] = GENERATORS["an async handler"].replace(
    "async def handle", "def handle"
)
AHEAD = 8


@pytest.fixture(params=GENERATORS)
def endless(request: pytest.FixtureRequest) -> str:
    return GENERATORS[request.param]


def written(path: Path) -> int:
    return int(path.read_text() or -2)


async def still(path: Path) -> int:
    """What is written there once it does not change any more."""
    seen = -1
    while (now := written(path)) != seen:
        seen = now
        await asyncio.sleep(0.05)
    return seen


async def served(workers: HandlerWorkers, path: Path) -> int:
    """Another call's first item: the worker is free."""
    async with asyncio.timeout(WAIT_S), aclosing(workers.invoke(asked(str(path)))) as parts:
        await anext(parts)
        line: Any = await anext(parts)
        return int(json.loads(line)["outputs"][0])


async def test_each_item_is_a_chunk_of_its_own(models: Models):
    source = """
        def handle(inputs):
            if inputs.is_empty():
                return None
            return Output().add_stream_content(iter([["ä"], ["b", "c"], "d", {"e": 1.5}]))
    """
    async with models.open(source) as workers:
        answer = await call(workers)
    assert answer.head == HandlerHead(200, "OK", {"Content-Type": "application/jsonlines"})
    assert answer.chunks == (
        '{"outputs": ["ä"]}\n'.encode(), b'{"outputs": ["b", "c"]}\n', b'{"outputs": "d"}\n',
        b'{"outputs": {"e": 1.5}}\n',
    )  # fmt: skip


@pytest.mark.parametrize("handle", ["", "async "])
@pytest.mark.parametrize("items", ["", "async "])
async def test_a_stream_ends_when_its_generator_does(models: Models, handle: str, items: str):
    source = f"""
        {items}def items():
            yield "a"
            yield "b"
        {handle}def handle(inputs):
            return None if inputs.is_empty() else Output().add_stream_content(items(), output_formatter=None)
    """
    async with models.open(source) as workers:
        assert (await call(workers)).chunks == (await call(workers)).chunks == (b"a", b"b")


async def test_raw_bytes_and_a_formatter_of_ones_own(models: Models):
    source = """
        def handle(inputs):
            if inputs.is_empty():
                return None
            form = (lambda item: f"data: {item}\\\\n\\\\n") if inputs.get_as_json() == "own" else None
            output = Output().add_property("Content-Type", "image/png")
            return output.add_stream_content([b"\\\\x89PNG", b"", "text"], output_formatter=form)
    """.replace("\\\\", "\\")
    async with models.open(source) as workers:
        raw, own = await call(workers, "raw"), await call(workers, "own")
    assert raw.chunks == (b"\x89PNG", b"text") and raw.head.properties == {"Content-Type": "image/png"}
    assert own.chunks[0] == b"data: b'\\x89PNG'\n\n"


async def test_the_first_item_comes_before_the_second_is_made(models: Models):
    source = """
        def items(path):
            yield "first"
            while not os.path.exists(path):
                time.sleep(0.005)
            yield "second"
        def handle(inputs):
            if inputs.is_empty():
                return None
            return Output().add_stream_content(items(inputs.get_as_json()), output_formatter=None)
    """
    go = models.path / "go"
    async with models.open(source) as workers, aclosing(workers.invoke(asked(str(go)))) as parts:
        await anext(parts)
        assert await anext(parts) == b"first"
        go.touch()
        assert [part async for part in parts] == [b"second"]


async def test_a_slow_reader_pauses_the_generator(models: Models, endless: str):
    made = models.path / "made"
    async with models.open(endless) as workers, aclosing(workers.invoke(asked(str(made)))) as parts:
        await anext(parts)
        await anext(parts)
        assert await still(made) <= AHEAD + 1
        for _ in range(20):
            await anext(parts)
        assert 21 <= await still(made) <= 21 + AHEAD + 1


async def test_a_reader_that_leaves_closes_the_generator(models: Models, endless: str):
    made, other = models.path / "made", models.path / "other"
    async with models.open(endless) as workers:
        async with aclosing(workers.invoke(asked(str(made)))) as parts:
            await anext(parts)
            await anext(parts)
        await until(made.with_name("made.closed").exists)
        assert await served(workers, other) == 1
        assert [slot.pid for slot in workers.running] and await workers.healthy()


async def test_large_chunks_do_not_pile_up(models: Models):
    source = """
        def items():
            while True:
                yield bytes(1 << 20)
        def handle(inputs):
            return None if inputs.is_empty() else Output().add_stream_content(items(), output_formatter=None)
    """
    async with models.open(source) as workers, aclosing(workers.invoke(asked())) as parts:
        await anext(parts)
        for _ in range(50):
            chunk: Any = await anext(parts)
            assert len(chunk) == 1 << 20
        assert sum(call._output.qsize() for call in workers.running[0]._process._calls.values()) <= AHEAD


async def test_raising_before_the_first_item_is_a_clean_answer(models: Models, log: list[dict[str, Any]]):
    source = """
        def items():
            raise ValueError("nothing to draw")
            yield
        def handle(inputs):
            return None if inputs.is_empty() else Output().add_stream_content(items())
    """
    async with models.open(source) as workers:
        answer = await call(workers)
    assert (answer.head.code, answer.json()["error"]) == (424, "nothing to draw")
    assert b"Traceback" not in answer.body
    lines = [str(line.get("line")) for line in log]
    assert "Traceback (most recent call last):" in lines and "ValueError: nothing to draw" in lines


async def test_raising_after_the_first_item_ends_the_stream_with_an_error(models: Models):
    source = """
        def items():
            yield ["a"]
            raise ValueError("the pen broke")
        def handle(inputs):
            if inputs.is_empty():
                return None
            return Output().add_stream_content(items() if inputs.get_as_json() else [["whole"]])
    """
    async with models.open(source) as workers:
        parts = workers.invoke(asked(True))
        said = [await anext(parts), await anext(parts)]
        with pytest.raises(HandlerFailed, match=r"^the pen broke$"):
            await anext(parts)
        assert said[1] == b'{"outputs": ["a"]}\n'
        assert (await call(workers, False)).chunks == (b'{"outputs": ["whole"]}\n',)


async def test_an_item_that_is_no_json_says_what_to_do(models: Models):
    source = """
        def handle(inputs):
            return None if inputs.is_empty() else Output().add_stream_content([b"bytes"])
    """
    async with models.open(source) as workers:
        answer = await call(workers)
    assert answer.head.code == 424 and "output_formatter=None" in answer.json()["error"]


async def test_a_stream_that_stalls_ends_with_an_error(models: Models):
    source = """
        def items():
            yield ["a"]
            time.sleep(60)
        def handle(inputs):
            if inputs.is_empty():
                return None
            return Output().add_stream_content(items()) if inputs.get_as_json() else Output().add("free")
    """
    async with models.open(source, stream_timeout_s=0.2) as workers, asyncio.timeout(WAIT_S):
        parts = workers.invoke(asked(True))
        await anext(parts)
        await anext(parts)
        with pytest.raises(HandlerFailed, match=r"chunked_read_timeout: .* nothing more within 0\.2 s"):
            await anext(parts)
        assert (await call(workers, False)).body == b"free"


async def test_a_reader_that_takes_its_time_is_no_stall(models: Models):
    made = models.path / "made"
    opened = models.open(GENERATORS["a plain handler"], stream_timeout_s=0.4)
    async with opened as workers, aclosing(workers.invoke(asked(str(made)))) as parts:
        await anext(parts)
        await asyncio.sleep(0.9)
        assert written(made) <= AHEAD
        for _ in range(AHEAD * 2):
            await anext(parts)
