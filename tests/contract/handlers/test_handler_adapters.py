"""The LoRA adapters of a model with its own handler: every worker is told of them."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from tests.contract.handlers.models import WAIT_S, Models, call
from tests.support.waiting import until

from nearstream.core.errors import Conflict, Missing, Unusable
from nearstream.handlers.adapters import HandlerAdapters
from nearstream.handlers.workers import HandlerWorkers

KNOWS = """
    adapters = {}
    def register_adapter(inputs):
        name = inputs.get_property("name")
        if inputs.contains_key("error"):
            raise ValueError("no such weights")
        adapters[name] = [inputs.get_property("src"), inputs.get_function_name()]
        return Output(message=f"Adapter {name} registered")
    def update_adapter(inputs):
        adapters[inputs.get_property("name")] = [inputs.get_property("src"), inputs.get_function_name()]
        return Output()
    def unregister_adapter(inputs):
        del adapters[inputs.get_property("name")]
        return Output()
    HANDLE handle(inputs):
        return None if inputs.is_empty() else Output().add_as_json([os.getpid(), adapters])
"""
KINDS = {"plain": ("def", {}), "async": ("async def", {}), "rolling": ("def", {"rolling_batch": "auto"})}


def of(workers: HandlerWorkers) -> HandlerAdapters:
    assert workers.adapters is not None
    return workers.adapters


@pytest.mark.parametrize("kind", KINDS)
async def test_a_handler_is_told_of_every_adapter(models: Models, kind: str):
    keyword, properties = KINDS[kind]
    source = KNOWS.replace("HANDLE", keyword)
    opened = models.open(source, adapters=(("first", "/a"),), properties=properties)
    async with opened as workers, asyncio.timeout(WAIT_S):
        adapters = of(workers)
        await adapters.load("second", "/b", options={"preload": "true"})
        assert (await call(workers)).json()[1] == {
            "first": ["/a", "register_adapter"],
            "second": ["/b", "register_adapter"],
        }
        await adapters.update("second", "/c")
        await adapters.unload("first")
        assert (await call(workers)).json()[1] == {"second": ["/c", "update_adapter"]}
        assert [(one.name, one.source) for one in adapters.all] == [("second", "/c")]


async def test_every_worker_is_told_also_one_that_comes_later(models: Models):
    source = KNOWS.replace("HANDLE", "def")
    async with models.open(source, adapters=(), min_workers=2, max_workers=2) as workers:
        await of(workers).load("a", "/a")
        first = await call(workers)
        os.kill(first.json()[0], signal.SIGKILL)
        await until(
            lambda: len({slot.pid for slot in workers.running if slot.ready} - {first.json()[0]}) == 2
        )
        answers = [(await call(workers)).json() for _ in range(6)]
        assert all(adapters == {"a": ["/a", "register_adapter"]} for _, adapters in answers)


async def test_what_a_handler_says_of_an_adapter_is_told(models: Models):
    async with models.open(KNOWS.replace("HANDLE", "def"), adapters=()) as workers:
        with pytest.raises(Unusable, match="refuses the adapter 'bad': no such weights"):
            await of(workers).load("bad", "/bad", options={"error": "true"})
        assert of(workers).all == []
        await of(workers).load("good", "/good")
        with pytest.raises(Conflict, match="registered already"):
            await of(workers).load("good", "/good")
        for refused in (of(workers).unload("none"), of(workers).update("none", "/x")):
            with pytest.raises(Missing, match="there is no adapter 'none'"):
                await refused


async def test_an_adapter_in_the_folder_that_a_handler_refuses_keeps_it_from_loading(models: Models):
    source = """
        def register_adapter(inputs):
            raise ValueError("no such weights")
        def handle(inputs):
            return None
    """
    with pytest.raises(Unusable, match="no such weights"):
        async with models.open(source, adapters=(("a", "/a"),)):
            pass


async def test_a_handler_without_the_functions_does_with_its_folder_what_it_will(models: Models):
    source = """
        def handle(inputs):
            return None if inputs.is_empty() else Output().add("served")
    """
    async with models.open(source, adapters=(("a", "/a"),)) as workers:
        assert (await call(workers)).body == b"served"
        with pytest.raises(Unusable, match="has no function `register_adapter`"):
            await of(workers).load("b", "/b")


async def test_a_caller_cannot_choose_the_function(models: Models):
    async with models.open(KNOWS.replace("HANDLE", "def"), adapters=()) as workers:
        answer = await call(workers, None, handler="register_adapter", name="x", src="/x")
        assert answer.json()[1] == {}
