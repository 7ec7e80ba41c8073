"""The converter's steps with a program that stands for optimum-cli."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest
from tests.unit.models.test_directory import CONFIG, safetensors, write

from nearstream.core.errors import Unusable
from nearstream.models.convert import Converter, cached_conversion, requirements
from nearstream.models.directory import ModelDirectory, read_model

WRITES_AN_IR = """
printf '%s\\n' "$*" >> "$0.calls"
for target in "$@"; do :; done
mkdir -p "$target"
cp "$4"/*.json "$target"
echo '<net/>' > "$target/openvino_model.xml"
: > "$target/openvino_model.bin"
"""


@pytest.fixture
def model(tmp_path) -> ModelDirectory:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    safetensors(folder / "model.safetensors", 64)
    return read_model(write(folder, config=CONFIG, tokenizer={}), name="org/name")


@pytest.fixture
def converter(tmp_path):
    def make(script: str) -> Converter:
        made = Converter(tmp_path / "cache")
        made.program.parent.mkdir(parents=True)
        made.program.write_text(f"#!/bin/sh\n{script}")
        made.program.chmod(made.program.stat().st_mode | stat.S_IXUSR)
        (made.environment / "complete").touch()
        return made

    return make


async def converted(converter, model, heard=None, identity="org/name@1", weights="fp16"):
    progress = [].append if heard is None else heard.append
    return await cached_conversion(converter, model, weights=weights, identity=identity, progress=progress)


def left_by(converter: Converter) -> list[str]:
    found = (converter.cache / "models").iterdir()
    return [entry.name for entry in found if not entry.name.endswith(".lock")]


def calls(converter: Converter) -> list[str]:
    return Path(f"{converter.program}.calls").read_text().splitlines()


async def test_a_checkpoint_is_converted_once_for_each_revision_and_weight_format(converter, model):
    converter = converter(WRITES_AN_IR)
    first = await converted(converter, model)
    assert (first.kind, first.name) == ("ir", "org/name")
    assert await converted(converter, model) == first
    assert len(calls(converter)) == 1
    other = [
        await converted(converter, model, weights="int8"),
        await converted(converter, model, identity="2"),
    ]
    assert len({first.path, *(model.path for model in other)}) == 3


async def test_two_that_want_it_at_once_convert_it_once(converter, model):
    converter = converter(WRITES_AN_IR)
    one, other = await asyncio.gather(converted(converter, model), converted(converter, model))
    assert one == other
    assert len(calls(converter)) == 1


async def test_a_changed_checkpoint_is_converted_anew(converter, model):
    converter = converter(WRITES_AN_IR)
    first = await converted(converter, model, identity=None)
    safetensors(model.path / "model.safetensors", 128)
    assert (await converted(converter, model, identity=None)).path != first.path


async def test_remote_code_is_trusted_only_when_asked(converter, model):
    converter = converter(WRITES_AN_IR)
    await converted(converter, model)
    await converted(Converter(converter.cache, trust_remote_code=True), model, identity="2")
    assert ["--trust-remote-code" in call for call in calls(converter)] == [False, True]


async def test_progress_bars_and_lines_are_heard(converter, model):
    heard: list[str] = []
    await converted(converter("printf 'a 10%%\\ra 100%%\\nb\\n'" + WRITES_AN_IR), model, heard)
    assert heard[-3:] == ["a 10%", "a 100%", "b"]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo Loading; echo 'ValueError: unknown architecture' >&2; exit 1", "unknown architecture"),
        ("echo 'OSError: [Errno 28] No space left on device'; echo bye; exit 1", "the disk is full"),
        ("exit 3", "printed nothing"),
    ],
)
async def test_a_failed_conversion_says_why_and_leaves_nothing(converter, model, script, reason):
    converter = converter(script)
    with pytest.raises(Unusable, match=reason):
        await converted(converter, model)
    assert [
        entry for entry in (converter.cache / "models").iterdir() if not entry.name.endswith(".lock")
    ] == []


async def test_half_a_conversion_is_never_found(converter, model):
    converter = converter(WRITES_AN_IR + '\nrm "$target/openvino_model.bin"')
    with pytest.raises(Unusable, match=r"openvino_model\.bin"):
        await converted(converter, model)
    assert [
        entry for entry in (converter.cache / "models").iterdir() if not entry.name.endswith(".lock")
    ] == []


async def test_cancelling_ends_the_program_and_cleans_up(converter, model):
    converter = converter("echo begun; sleep 60")
    begun = asyncio.Event()

    def hear(line: str) -> None:
        if line == "begun":
            begun.set()

    conversion = asyncio.ensure_future(
        cached_conversion(converter, model, weights="fp16", identity="1", progress=hear)
    )
    async with asyncio.timeout(10):
        await begun.wait()
    conversion.cancel()
    await asyncio.wait([conversion], timeout=10)
    assert conversion.cancelled()
    assert [
        entry for entry in (converter.cache / "models").iterdir() if not entry.name.endswith(".lock")
    ] == []


def test_every_requirement_is_pinned_and_torch_is_not_among_them():
    lines = [line for line in requirements().read_text().splitlines() if line[:1].isalnum()]
    assert lines and all("==" in line for line in lines)
    assert not [line for line in lines if line.startswith(("torch", "torchvision", "nvidia"))]
