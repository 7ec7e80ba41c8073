"""The server on the built-in model, with the real engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from nearstream.engines.openvino.engine import OpenVINOEngine
from nearstream.engines.openvino.settings import OpenVINOSettings
from nearstream.models.builtin import builtin_path
from nearstream.replica.settings import ServerSettings
from nearstream.replica.tgi.server import serve
from nearstream.wire.dialects.hf.terms import Terms
from nearstream.wire.dialects.limits import Limits

TERMS = Terms(limits=Limits(max_input_tokens=1024, max_total_tokens=2048))


@asynccontextmanager
async def serving_builtin() -> AsyncIterator[str]:
    """Its address, once it is ready."""
    told = ServerSettings("builtin", builtin_path(), TERMS, port=0, grace_s=5)
    engine = OpenVINOSettings(model=builtin_path(), context_tokens=2048, vocab_size=4096, threads=1)
    addresses: list[str] = []
    stop, ready = asyncio.Event(), asyncio.Event()

    def listening(found: Sequence[str]) -> None:
        addresses.extend(found)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(
            serve(
                told,
                lambda: OpenVINOEngine.open(engine),
                stop=stop,
                on_listening=listening,
                on_ready=ready.set,
            )
        )
        await ready.wait()
        try:
            yield addresses[0]
        finally:
            stop.set()
