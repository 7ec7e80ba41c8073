"""Settings of a model are read once, and logged once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from nearstream.core.errors import Unusable
from nearstream.engines.table import engine_kind
from nearstream.replica.lmi.loader import ModelLoader
from nearstream.replica.lmi.served import Source
from nearstream.telemetry.djl import DjlMetrics
from nearstream.wire.dialects.lmi.terms import lmi_release

HANDLER = "def handle(inputs):\n    from djl_python import Output\n    return Output().add('hi')\n"


def loader(cache: Path) -> ModelLoader:
    async def fetch(url: str) -> Path:
        raise AssertionError(url)

    engine = engine_kind("openvino")
    return ModelLoader(lmi_release(""), {}, cache, (), engine, DjlMetrics(), time.time, fetch)


def model(folder: Path, properties: str) -> Source:
    folder.mkdir()
    (folder / "serving.properties").write_text(properties)
    (folder / "model.py").write_text(HANDLER)
    return Source("mine", str(folder), at_startup=True)


async def test_the_model_of_the_start_is_loaded_with_the_settings_that_the_server_has_read(tmp_path: Path):
    source = model(tmp_path / "mine", "option.tensor_parallel_degree=4\nbatch_size=2\n")
    made = loader(tmp_path / "cache")
    with capture_logs() as log:
        serving = await made.settings(source)
        (tmp_path / "mine" / "serving.properties").write_text(r"a=\u")
        async with made.open(source, startup=serving) as served:
            assert served.worker_group().batch_size == 2
    assert [line["event"] for line in log if line.get("key") == "option.tensor_parallel_degree"] == [
        "setting left to the handler"
    ]


async def test_a_registered_model_is_loaded_with_settings_of_its_own(tmp_path: Path):
    source = model(tmp_path / "mine", r"a=\u")
    started = await loader(tmp_path / "cache").settings(Source("other"))
    with pytest.raises(Unusable, match="line 1"):
        async with loader(tmp_path / "cache").open(Source("mine", source.url), startup=started):
            pass


async def test_a_model_that_nobody_named_is_asked_for(tmp_path: Path):
    made = loader(tmp_path / "cache")
    with pytest.raises(Unusable, match="Which model to run is not said"):
        async with made.open(Source("mine")):
            pass
