"""Heads of model files: what is no whole head is refused, and no bytes make a parser fail otherwise."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearstream.formats import gguf, safetensors

WHOLE = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sII", 1, b"a", 4, 7)
TENSORS = {"w": safetensors.Tensor("F32", (2, 1), bytes(8)), "v": safetensors.Tensor("U8", (3,), b"abc")}


def test_a_gguf_head_is_its_metadata_and_the_length_that_its_tensors_need():
    head = gguf.parse(WHOLE)
    assert (head.metadata, head.least_bytes) == ({"a": 7}, 64)


@given(st.integers(0, len(WHOLE) - 1))
def test_a_gguf_head_cut_anywhere_is_refused(end: int):
    with pytest.raises(gguf.Damaged):
        gguf.parse(WHOLE[:end])


@given(st.binary(), st.sampled_from([2, 3]), st.integers(0, 1 << 64), st.integers(0, 1 << 64))
def test_any_bytes_are_a_gguf_head_or_refused(rest: bytes, version: int, tensors: int, pairs: int):
    counts = struct.pack("<IQQ", version, min(tensors, 2**64 - 1), min(pairs, 2**64 - 1))
    try:
        assert gguf.parse(b"GGUF" + counts + rest).least_bytes >= 0
    except gguf.Damaged:
        return


def test_the_head_of_a_safetensors_file_tells_how_long_the_file_must_be():
    file = b"".join(safetensors.encode(TENSORS))
    length = safetensors.head_bytes(file)
    assert safetensors.least_bytes(file[:length]) == len(file)


@given(st.binary())
def test_any_head_of_a_safetensors_file_is_a_length_or_refused(text: bytes):
    try:
        safetensors.least_bytes(struct.pack("<Q", len(text)) + text)
    except safetensors.Damaged:
        assert text != json.dumps({}).encode()
