"""A model directory's tokenizer files are read, or refused with a sentence that names the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.toy_tokenizers import byte_level, write_model

from nearstream.core.errors import Unusable
from nearstream.text.tokenizer import load_tokenizer


def test_special_tokens_come_from_the_files(tmp_path: Path):
    tokenizer = load_tokenizer(write_model(tmp_path))
    backend = byte_level()
    eos, end = backend.token_to_id("</s>"), backend.token_to_id("<|end|>")
    assert (tokenizer.special.bos, tokenizer.special.eos) == ("<s>", "</s>")
    assert tokenizer.special.eos_ids == {eos, end}
    assert tokenizer.special_text(eos) == "</s>"
    assert tokenizer.special_text(tokenizer.encode("a", add_special_tokens=False)[0]) is None


def test_an_eos_id_may_be_one_number_in_config_json(tmp_path: Path):
    write_model(tmp_path)
    (tmp_path / "generation_config.json").unlink()
    (tmp_path / "tokenizer_config.json").unlink()
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": 7}))
    assert load_tokenizer(tmp_path).special.eos_ids == {7}


def test_special_tokens_are_added_only_when_wanted(tmp_path: Path):
    tokenizer = load_tokenizer(write_model(tmp_path))
    assert tokenizer.encode("hello") == [1, *tokenizer.encode("hello", add_special_tokens=False)]


def test_missing_and_broken_files_are_named(tmp_path: Path):
    with pytest.raises(Unusable, match=r"no tokenizer\.json in"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(Unusable, match=r"cannot read .*tokenizer\.json"):
        load_tokenizer(tmp_path)
    write_model(tmp_path)
    (tmp_path / "generation_config.json").write_text("[]")
    with pytest.raises(Unusable, match=r"cannot read .*generation_config\.json"):
        load_tokenizer(tmp_path)
