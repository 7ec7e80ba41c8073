from __future__ import annotations

from typing import Any

import pytest
from tests.unit.models.test_directory import CONFIG, safetensors, write

from nearstream.core.errors import Unusable
from nearstream.models.hub import HubId, parse_hub_id
from nearstream.models.resolve import resolve


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("org/name", HubId("org/name")),
        ("org/name@main", HubId("org/name", "main")),
        ("org/name-GGUF/model.Q4_K_M.gguf", HubId("org/name-GGUF", None, "model.Q4_K_M.gguf")),
        ("name", None),
        ("../name", None),
        ("org/a/b", None),
        ("org/na me", None),
    ],
)
def test_hub_ids_are_told_from_other_names(name, parsed):
    assert parse_hub_id(name) == parsed


async def test_a_folder_is_found_by_its_path(tmp_path):
    (tmp_path / "openvino_model.xml").write_text("<net/>")
    (tmp_path / "openvino_model.bin").write_bytes(b"")
    write(tmp_path, config=CONFIG, tokenizer={})
    model = await resolve(str(tmp_path), formats=("ir", "gguf"), cache=tmp_path / "cache")
    assert (model.kind, model.path) == ("ir", tmp_path)


@pytest.mark.parametrize("name", ["nothing", "./nothing", "/no/such/model"])
async def test_a_name_for_nothing_is_refused(tmp_path, name):
    with pytest.raises(Unusable, match=r"nothing|no/such/model"):
        await resolve(name, formats=("ir", "gguf"), cache=tmp_path)


async def test_it_stops_at_a_format_that_the_engine_takes(tmp_path):
    """A folder of a checkpoint and of what was made from it."""
    (tmp_path / "openvino_model.xml").write_text("<net/>")
    (tmp_path / "openvino_model.bin").write_bytes(b"")
    safetensors(tmp_path / "model.safetensors", 64)
    write(tmp_path, config=CONFIG, tokenizer={})
    cases: tuple[tuple[Any, str], ...] = ((("ir", "gguf"), "ir"), (("hf",), "hf"), (("gguf", "hf"), "hf"))
    for formats, kind in cases:
        assert (await resolve(str(tmp_path), formats=formats, cache=tmp_path / "cache")).kind == kind


async def test_a_format_that_cannot_be_made_into_one_that_the_engine_takes_is_refused(tmp_path):
    safetensors(tmp_path / "model.safetensors", 64)
    write(tmp_path, config=CONFIG, tokenizer={})
    with pytest.raises(Unusable, match="is a Hugging Face checkpoint, and the engine does not load that"):
        await resolve(str(tmp_path), formats=["gguf"], cache=tmp_path / "cache")
