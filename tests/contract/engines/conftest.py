"""Every engine under the same tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.engines.asking import USUAL, CountingEngine, Limits

from nearstream.core.errors import Unusable
from nearstream.engines.openvino.engine import OpenVINOEngine
from nearstream.engines.openvino.settings import OpenVINOSettings
from nearstream.engines.scripted import ScriptedEngine
from nearstream.models.builtin import builtin_path
from nearstream.models.lora.modules import adaptable_modules


@pytest.fixture(scope="session")
def openvino_settings() -> OpenVINOSettings:
    try:
        model: Path = builtin_path()
    except Unusable as absent:
        pytest.skip(str(absent))
    return OpenVINOSettings(
        model,
        kv_bytes_per_token=8192,
        kv_cache_bytes=64 << 20,
        context_tokens=1024,
        adaptable=adaptable_modules(model),
        # Greedy answers are compared token by token; in 16 bits two tokens may tie, and the batch decides.
        properties=(("INFERENCE_PRECISION_HINT", "f32"),),
    )


@pytest.fixture(params=["scripted", "openvino"])
def open_engine(request: pytest.FixtureRequest):
    """Opens an engine of the kind under test within `Limits`."""

    @asynccontextmanager
    async def scripted(limits: Limits = USUAL) -> AsyncIterator[CountingEngine]:
        engine = ScriptedEngine(delay_s=0.001, max_seqs=limits.max_seqs, max_waiting=limits.max_waiting)
        yield engine
        await engine.aclose()

    @asynccontextmanager
    async def openvino(limits: Limits = USUAL) -> AsyncIterator[CountingEngine]:
        settings = request.getfixturevalue("openvino_settings")
        wanted = replace(settings, max_seqs=limits.max_seqs, max_waiting=limits.max_waiting)
        async with OpenVINOEngine.open(wanted) as engine:
            yield engine

    return {"scripted": scripted, "openvino": openvino}[request.param]
