"""What a model's requirements.txt asks for is there, or the model says why not."""

from __future__ import annotations

import asyncio
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.contract.handlers.models import Models, call

from nearstream.core.errors import Unusable
from nearstream.handlers.environment import _key, environment_for

SOURCE = """
    import greeting, numpy
    def handle(inputs):
        return Output().add([greeting.WORD, numpy.__name__, sys.prefix])
"""


def wheel(folder: Path, word: str) -> None:
    """A package `greeting`, as pip takes it."""
    folder.mkdir(exist_ok=True)
    info = "greeting-1.0.dist-info"
    with zipfile.ZipFile(folder / "greeting-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("greeting.py", f"WORD = {word!r}\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


async def test_a_wheel_beside_the_model_is_installed_once_for_both_replicas_over_one_left_half_made(
    models: Models, log: list[dict[str, Any]]
):
    settings = models.settings(SOURCE)
    wheel(settings.directory / "wheels", "hello")
    settings.requirements.write_text("./wheels/greeting-1.0-py3-none-any.whl\n")
    half_made = settings.cache / "handlers" / _key(settings) / "bin" / "python"
    half_made.mkdir(parents=True)
    one, other = await asyncio.gather(environment_for(settings), environment_for(settings))
    assert one == other == half_made and one.is_file()
    async with models.open(SOURCE) as workers:
        word, numpy, prefix = (await call(workers)).json()
    assert (word, numpy) == ("hello", "numpy") and Path(prefix).is_relative_to(models.path / "cache")
    events = [line["event"] for line in log]
    assert events.count("installing requirements") == 1 and "pip output" in events

    wheel(settings.directory / "wheels", "goodbye")
    assert await environment_for(settings) != one


async def test_requirements_that_cannot_be_installed_are_told_in_pips_words(
    models: Models, log: list[dict[str, Any]]
):
    settings = models.settings(SOURCE)
    settings.requirements.write_text("./no/such-package-1.0-py3-none-any.whl\n")
    with pytest.raises(Unusable, match=r"requirements of mine cannot be installed: ERROR: .*such-package"):
        async with models.open(SOURCE):
            pass
    assert any("such-package" in str(line.get("line")) for line in log)
    assert list((models.path / "cache" / "handlers").glob("*/complete")) == []


async def test_an_installation_has_a_time_limit(models: Models):
    settings = models.settings(SOURCE, install_timeout_s=0.01)
    settings.requirements.write_text("# nothing\n")
    with pytest.raises(Unusable, match=r"not installed within 0\.01 s"):
        await environment_for(settings)
