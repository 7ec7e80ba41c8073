"""The API that handlers import, by itself."""

from __future__ import annotations

import asyncio
import datetime
import json
import re
from typing import Any

import numpy as np
import pytest

from nearstream.handlers.runtime import djl_python
from nearstream.handlers.runtime.djl_python import Input, Output, PairList
from nearstream.handlers.runtime.djl_python._worker.answers import input_of, wholes
from nearstream.handlers.runtime.djl_python._worker.frames import Member
from nearstream.handlers.runtime.djl_python.async_utils import handle_streaming_response
from nearstream.handlers.runtime.djl_python.encode_decode import decode, encode
from nearstream.handlers.runtime.djl_python.input_parser import (
    init_handler,
    input_formatter,
    prediction_handler,
)
from nearstream.handlers.runtime.djl_python.np_util import from_nd_list, to_nd_list
from nearstream.handlers.runtime.djl_python.output_formatter import output_formatter
from nearstream.handlers.runtime.djl_python.outputs import default_formatter
from nearstream.handlers.runtime.djl_python.streaming_utils import StreamingUtils


def given(body: bytes = b"", media: str | None = None, **more: bytes) -> Input:
    inputs = Input()
    inputs.content.add(key="data", value=body)
    for key, value in more.items():
        inputs.content.add(key=key, value=value)
    if media:
        inputs.properties["Content-Type"] = media
    return inputs


def said(output: Output) -> bytes:
    return wholes(output, 1)[0].body


def test_content_is_read_in_every_form():
    inputs = given('{"a": "ö"}'.encode(), q=b"query")
    assert inputs.get_as_json() == {"a": "ö"} and inputs.get_as_string("q") == "query"
    assert inputs.get_as_bytes() == '{"a": "ö"}'.encode()
    assert inputs.contains_key("q") and not inputs.contains_key("p")
    assert isinstance(inputs.get_content(), PairList) and inputs.get_content().get_keys() == ["data", "q"]
    assert given(b"a,b\n1,2\n").get_as_csv() == [{"a": "1", "b": "2"}]
    with pytest.raises(KeyError, match="no content under 'p'; there is 'data', 'q'"):
        inputs.get_as_string("p")


def test_the_first_content_is_the_body_where_none_is_called_data():
    inputs = Input()
    inputs.content.add(key="other", value=b"x")
    assert inputs.get_as_bytes() == b"x"


def test_properties_are_found_in_any_case():
    inputs = given(media="text/plain")
    assert inputs.get_property("content-TYPE") == "text/plain" and inputs.get_property("x") is None
    assert inputs.get_properties() == {"Content-Type": "text/plain"}


def test_only_the_first_call_is_empty():
    assert Input().is_empty() and not given(b"").is_empty()


def test_an_empty_input_has_no_bytes_and_nothing_else():
    assert Input().get_as_bytes() is None and Input().get_as_bytes("key") is None
    assert Input().get_data() is None
    for read in ("get_as_string", "get_as_json", "get_as_csv", "get_as_numpy", "get_as_npz"):
        with pytest.raises(KeyError, match="there is nothing"):
            getattr(Input(), read)()


def test_an_input_prints_its_properties_and_its_content():
    assert (
        str(given(b"a", "text/plain", q=b"b")) == "properties: {'Content-Type': 'text/plain'}\ndata: a\nq: b"
    )


def test_pairs_are_added_alone_and_together():
    pairs = PairList(["a"], [b"1"])
    pairs.add("none", None)
    pairs.add("first", b"0", index=0)
    pairs.add(pair=("b", b"2"))
    pairs.add_all(PairList(pair_map={"c": b"3"}))
    pairs.add_all([("d", b"4")])
    pairs.add_all(None)
    assert list(pairs) == [("first", b"0"), ("a", b"1"), ("b", b"2"), ("c", b"3"), ("d", b"4")]
    assert list(PairList(pair_list=[(None, b"x")])) == [(None, b"x")]
    with pytest.raises(ValueError, match="1 keys and 0 values"):
        PairList(["a"], [])


def test_an_output_gives_its_properties_back():
    output = Output().add_property("Content-Type", "text/plain")
    assert output.get_property("content-type") == "text/plain" and output.get_property("other") is None
    assert output.get_properties() == {"Content-Type": "text/plain"}


def test_the_package_says_which_release_it_is():
    assert re.fullmatch(r"0\.\d+\.\d+", djl_python.__version__)


def test_decorators_mark_functions_as_djls_do():
    for decorate in (input_formatter, output_formatter, prediction_handler, init_handler):

        def own() -> int:
            return 5

        assert decorate(own) is own and own() == 5 and getattr(own, f"is_{decorate.__name__}") is True


def test_a_batch_comes_apart_into_its_calls():
    members = [
        Member(number, (("data", b"%d" % number), ("q", b"")), {"Kind": str(number)}) for number in (7, 8)
    ]
    inputs = input_of(members, "handle", {"model_dir": "/m"})
    assert inputs.is_batch() and inputs.get_batch_size() == 2 and inputs.get_function_name() == "handle"
    assert inputs.get_property("model_dir") == "/m"
    one, two = inputs.get_batches()
    assert (one.get_as_json(), two.get_as_json()) == (7, 8) and two.get_property("kind") == "8"
    assert not one.is_batch() and one.get_batches() == [one] and one.get_batch_size() == 1


@pytest.mark.parametrize("kind", ["float32", "float64", "int64", "uint8", "bool"])
def test_arrays_make_the_round_trip(kind: str):
    arrays = [np.arange(6).reshape(1, 3, 2).astype(kind), np.array(5, dtype=kind)]
    for read, written in (
        (given(said(Output().add_as_numpy(arrays))).get_as_numpy(), arrays),
        (given(said(Output().add_as_npz(arrays))).get_as_npz(), arrays),
        (given(said(Output().add_as_npz(arrays))).get_as_numpy(), arrays),
    ):
        assert all(
            np.array_equal(one, other) and one.dtype == other.dtype
            for one, other in zip(read, written, strict=True)
        )


def test_an_ndlist_is_laid_out_as_djls():
    assert to_nd_list(np.zeros((1, 2), dtype="float32")).hex() == (
        "000000010004" + b"NDAR".hex() + "00000003000007" + b"default".hex() + "0007" + b"FLOAT32".hex()
        + "000000020000000000000001000000000000000200000002003f003f3c00000008" + "00" * 8
    )  # fmt: skip


@pytest.mark.parametrize("junk", [b"", b"junk", to_nd_list(np.ones(3))[:-4], to_nd_list(np.ones(3))[:20]])
def test_junk_is_no_ndlist(junk: bytes):
    with pytest.raises(ValueError, match=r"NDList|buffer|cannot reshape"):
        from_nd_list(junk)


def test_json_is_written_as_djl_writes_it():
    value = {"a": np.float32(0.5), "b": np.arange(2), "c": datetime.datetime(2024, 1, 2), "ö": None}
    body = said(Output().add_as_json(value)).decode()
    assert body.startswith('{\n  "a":0.5,\n') and '"ö":null' in body
    assert json.loads(body)["c"] == "2024-01-02 00:00:00" and json.loads(body)["b"] == [0, 1]
    with pytest.raises(ValueError, match="JSON compliant"):
        Output().add(float("nan"))
    with pytest.raises(TypeError, match="a set is not JSON"):
        Output().add({1})


def test_an_output_is_put_together_in_one_expression():
    output = (
        Output()
        .set_code(201)
        .set_message("Made")
        .add_property("X", "1")
        .add("a", key="k")
        .finalize(max, 1, 2)
    )
    assert (output.code, output.message, output.properties) == (201, "Made", {"X": "1"})
    assert output.execute_finalize() == 2 and output.execute_finalize() is None
    assert "bytes of content={'k': 1}" in str(output)


def test_a_streams_item_is_a_line():
    assert default_formatter([" ö"]) == '{"outputs": [" ö"]}\n'.encode()
    with pytest.raises(TypeError, match="output_formatter=None"):
        default_formatter(b"x")


def test_without_a_package_the_way_to_get_it_is_said():
    with pytest.raises(ImportError, match=r"needs PIL.*`pillow` to requirements"):
        given(b"\x89PNG").get_as_image()


def test_bodies_are_decoded_by_their_type():
    assert decode(given(b'{"a":1}'), "application/json; charset=utf-8") == {"a": 1}
    assert decode(given(b'{"a":1}'), None) == {"a": 1} and decode(given(b""), None) == {"inputs": ""}
    assert decode(given(b"x"), "text/plain") == {"inputs": ["x"]}
    assert decode(given(b"x"), "application/octet-stream") == {"inputs": b"x"}
    assert decode(given(b"inputs\na\nb\n"), "text/csv") == {"inputs": ["a", "b"]}
    assert decode(given(b"question,context\nq,c\n"), "text/csv") == {
        "inputs": [{"question": "q", "context": "c"}]
    }
    assert decode(given(b"1,2\n3,4\n"), "text/csv", require_csv_headers=False).tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match="Header columns is wanted"):
        decode(given(b"1,2\n"), "text/csv")
    with pytest.raises(ValueError, match="no number"):
        decode(given(b"a,2\n"), "text/csv", require_csv_headers=False)


@pytest.mark.parametrize(
    ("asked", "kept"),
    [("application/json", "application/json"), (None, "application/json"), ("tensor/npz", "tensor/npz"),
     ("tensor/ndlist", "tensor/ndlist"), ("text/csv", "text/csv")],
)  # fmt: skip
def test_answers_are_encoded_by_their_type(asked: str | None, kept: str):
    output = Output()
    encode(output, [{"a": 1}] if kept.startswith(("app", "text")) else [np.ones(1)], asked)
    assert output.properties == {"Content-Type": kept} and said(output)
    assert kept != "text/csv" or said(output) == b"a\r\n1\r\n"


def test_content_is_read_as_its_type_says():
    assert given(b"[1]", "application/json").get_data() == [1] and given(b"x", "text/plain").get_data() == "x"
    assert given(b"x").get_data() == b"x" and Input().get_data() is None


class Letters:
    """A model and its tokenizer, as transformers has them: each token is a letter."""

    def __call__(self, texts: list[str], return_tensors: str) -> dict[str, Any]:
        return {"input_ids": texts}

    def decode(self, token: str, skip_special_tokens: bool) -> str:
        return token

    def generate(self, input_ids: list[str], streamer: Any, max_new_tokens: int) -> None:
        streamer.put(input_ids)
        for letter in "abc"[:max_new_tokens]:
            streamer.put(letter)
        if input_ids == ["fail"]:
            raise RuntimeError("out of letters")
        streamer.end()


def test_tokens_of_transformers_come_one_by_one_without_the_prompt():
    stream = StreamingUtils.get_stream_generator("Accelerate")
    assert list(stream(Letters(), Letters(), ["go"], None, max_new_tokens=2)) == [["a"], ["b"]]
    failing = StreamingUtils.use_hf_default_streamer(Letters(), Letters(), ["fail"])
    with pytest.raises(RuntimeError, match="out of letters"):
        list(failing)
    with pytest.raises(ValueError, match="one prompt at a time"):
        stream(Letters(), Letters(), ["a", "b"])
    with pytest.raises(ValueError, match="Nonsense cannot stream"):
        StreamingUtils.get_stream_generator("Nonsense")


def test_the_parts_of_an_async_answer_are_made_by_a_formatter():
    async def words() -> Any:
        for word in ("a", "b", "c"):
            yield word

    async def parts(formatter: Any, **options: Any) -> list[dict[str, Any]]:
        made = handle_streaming_response(words(), formatter, **options)
        contents: list[Any] = [output.content.value_at(0) async for output in made]
        return [content.fields for content in contents]

    told = asyncio.run(parts(lambda word: ({"word": word}, word == "b")))
    assert told == [{"data": '{"word": "a"}\n', "last": False}, {"data": '{"word": "b"}\n', "last": True}]
    grown = asyncio.run(parts(lambda word, history: (word, False, [*history, word]), accumulate_chunks=True))
    assert [one["data"] for one in grown] == ["a\n", "b\n", "c\n"]
    broken = asyncio.run(parts(lambda word: word.no_such_thing))
    assert broken[0]["code"] == 424 and "no_such_thing" in broken[0]["error"]
