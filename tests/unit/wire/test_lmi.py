"""LMI's bodies: what they mean, what they may not say, and which of its answers a call gets."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearstream.core.errors import (
    BatchTooLarge,
    EngineDied,
    Invalid,
    Malformed,
    Misshapen,
    Unsupported,
    Unusable,
)
from nearstream.core.generation import Delta, Finish, Grammar, TextPrompt, Token
from nearstream.core.ports import Identity
from nearstream.wire.dialects.hf.terms import Terms
from nearstream.wire.dialects.limits import Limits
from nearstream.wire.dialects.lmi import generate as lmi
from nearstream.wire.dialects.lmi.bodies import LmiParameters
from nearstream.wire.dialects.lmi.chat import ParsedLmiCompletion
from nearstream.wire.dialects.lmi.generate import LmiCall
from nearstream.wire.dialects.lmi.terms import Format, LmiTerms, lmi_release

TERMS = LmiTerms(lmi_release("0.25.0"))


def terms(version: str, **form: Any) -> LmiTerms:
    return LmiTerms(lmi_release(version), Format(**form))


def call(parameters: object = None, *, given: LmiTerms = TERMS, **body: Any) -> LmiCall:
    document = {"inputs": "hi"} | ({} if parameters is None else {"parameters": parameters}) | body
    found = lmi.read(json.dumps(document).encode(), given).call()
    assert isinstance(found, LmiCall)
    return found


@pytest.mark.parametrize(
    ("version", "generation", "stream_key", "samples_when_asked", "by_body"),
    [
        ("0.23.0", 1, False, True, False),
        ("0.25", 1, False, True, False),
        ("0.26.0", 2, False, True, False),
        ("0.27.0", 2, True, True, False),
        ("0.31.0", 2, True, True, False),
        ("0.32.0", 2, True, False, False),
        ("0.34.0", 2, True, False, False),
        ("0.35.0", 3, True, False, True),
        ("", 3, True, False, True),
    ],
)
def test_a_release_has_its_generation(
    version: str, generation: int, stream_key: bool, samples_when_asked: bool, by_body: bool
):
    found = lmi_release(version)
    assert (found.generation, found.stream_key) == (generation, stream_key)
    assert (found.samples_when_asked, found.by_body) == (samples_when_asked, by_body)


@pytest.mark.parametrize("version", ["latest", "x0.25", "25", "1.2.3"])
def test_what_is_no_release_is_said_to_be_none(version: str):
    with pytest.raises(Unusable, match=r"write it as 0\.36\.0 or 0\.25"):
        lmi_release(version)


def test_a_body_of_inputs_alone_is_greedy_and_thirty_tokens_long():
    (request,) = call().requests
    assert request.prompt == TextPrompt("hi")
    assert (request.max_new_tokens, request.stop, request.truncate) == (30, (), None)
    assert not request.sampling.do_sample
    assert not call().shape.details


@pytest.mark.parametrize(
    ("version", "form", "stream", "kind"),
    [
        ("0.23.0", {}, False, "pieces"),
        ("0.23.0", {"formatter": "json", "streaming": "true"}, False, "pieces"),
        ("0.23.0", {"formatter": "jsonlines"}, False, "outputs"),
        ("0.25.0", {"streaming": "true"}, False, "outputs"),
        ("0.25.0", {"streaming": "huggingface", "rolling_batch": False}, False, "outputs"),
        ("0.25.0", {"rolling_batch": False}, False, "array"),
        ("0.25.0", {}, True, "pieces"),
        ("0.26.0", {}, True, "whole"),
        ("0.27.0", {}, False, "whole"),
        ("0.27.0", {}, True, "lines"),
        ("0.27.0", {"tgi_compat": True}, True, "events"),
        ("0.27.0", {"formatter": "json"}, True, "whole"),
        ("0.27.0", {"formatter": "jsonlines"}, False, "lines"),
        ("0.27.0", {"formatter": "sse"}, False, "events"),
        ("0.27.0", {"rolling_batch": False}, False, "array"),
        ("0.27.0", {"rolling_batch": False}, True, "lines"),
        ("0.27.0", {"rolling_batch": False, "streaming": "true"}, False, "outputs"),
        ("0.36.0", {}, False, "whole"),
        ("0.36.0", {"formatter": "jsonlines"}, False, "whole"),
        ("0.36.0", {}, True, "lines"),
        ("0.36.0", {"formatter": "sse"}, True, "events"),
    ],
)
def test_release_operator_and_caller_decide_together_what_streams(
    version: str, form: dict[str, Any], stream: bool, kind: str
):
    found = call(given=terms(version, **form), stream=stream)
    assert found.kind == kind
    assert found.stream is (kind not in {"whole", "array"})


def test_a_body_that_is_no_json_or_lacks_its_inputs_is_refused():
    with pytest.raises(Malformed):
        lmi.read(b"{", TERMS)
    with pytest.raises(Misshapen, match="inputs"):
        lmi.read(b'{"prompt": "a"}', TERMS)


def test_what_could_only_be_ignored_is_refused_by_its_name():
    with pytest.raises(Unsupported) as refused:
        call({"num_beams": 4})
    assert refused.value.option == "num_beams"


def test_an_empty_text_is_refused():
    with pytest.raises(Invalid, match="`inputs` cannot be empty"):
        call(inputs="")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"temperature": -0.5}, "`temperature` must not be negative"),
        ({"repetition_penalty": 0}, "`repetition_penalty` must be strictly positive"),
        ({"frequency_penalty": 2.5}, "`frequency_penalty` must be >= -2.0 and <= 2.0"),
        ({"presence_penalty": -2.5}, "`presence_penalty` must be >= -2.0 and <= 2.0"),
        ({"top_k": -2}, "`top_k` must be positive, or 0 or -1 for all tokens"),
        ({"top_p": 0}, "`top_p` must be > 0.0 and <= 1.0"),
        ({"top_p": 1.5}, "`top_p` must be > 0.0 and <= 1.0"),
        ({"typical_p": 1.5}, "`typical_p` must be > 0.0 and <= 1.0"),
        ({"max_new_tokens": 0}, "`max_new_tokens` must be strictly positive"),
        ({"truncate": 0}, "`truncate` must be strictly positive"),
        ({"seed": 2**64}, "`seed` must fit in 64 bits"),
        (
            {"output_formatter": "none"},
            "`output_formatter` must be one of json, jsonlines, sse, json_chat, jsonlines_chat, sse_chat",
        ),
    ],
)
def test_a_broken_rule_says_what_was_wanted(parameters: dict[str, Any], message: str):
    with pytest.raises(Invalid) as refused:
        call(parameters)
    assert str(refused.value) == message


@pytest.mark.parametrize("parameters", [{"temperature": "hot"}, {"stop": [1]}, {"max_new_tokens": -1}, []])
def test_a_value_of_the_wrong_kind_is_misshapen(parameters: object):
    with pytest.raises(Misshapen):
        call(parameters)


def test_every_option_reaches_the_engine():
    asked = {
        "do_sample": True,
        "seed": 7,
        "temperature": 0.5,
        "repetition_penalty": 1.5,
        "frequency_penalty": 0.5,
        "presence_penalty": 0.25,
        "top_k": 5,
        "top_p": 0.75,
        "typical_p": 0.9,
        "top_n_tokens": 3,
        "decoder_input_details": True,
    }
    (request,) = call(asked | {"max_new_tokens": 4, "truncate": 9}).requests
    given = request.sampling
    assert (given.do_sample, given.seed, given.temperature) == (True, 7, 0.5)
    assert (given.repetition_penalty, given.frequency_penalty, given.presence_penalty) == (1.5, 0.5, 0.25)
    assert (given.top_k, given.top_p, given.typical_p) == (5, 0.75, 0.9)
    assert (given.top_n_tokens, given.prefill_logprobs) == (3, True)
    assert (request.max_new_tokens, request.truncate) == (4, 9)


def test_null_means_the_default():
    asked = dict.fromkeys(["seed", "temperature", "top_k", "stop", "max_new_tokens", "do_sample", "details"])
    assert call(asked).requests == call().requests


def test_values_that_ask_for_nothing_are_not_handed_on():
    given = call({"do_sample": True, "top_k": 0, "top_p": 1.0, "typical_p": 1.0}).requests[0].sampling
    assert (given.do_sample, given.top_k, given.top_p, given.typical_p) == (True, None, None, None)
    assert call({"do_sample": True, "top_k": -1}).requests[0].sampling.top_k is None
    call({"best_of": 1, "num_beams": 1, "watermark": False, "length_penalty": 1.0, "cached_prompt": None})


def test_one_of_top_n_tokens_is_one_answer_since_0_35_and_an_alternative_before():
    for version, wanted in (("0.27.0", 1), ("0.36.0", 0)):
        assert call({"top_n_tokens": 1}, given=terms(version)).requests[0].sampling.top_n_tokens == wanted


@pytest.mark.parametrize(
    ("parameters", "early", "late"),
    [
        ({}, False, False),
        ({"do_sample": True}, True, True),
        ({"do_sample": False, "temperature": 0.5}, False, False),
        ({"temperature": 0.5}, False, True),
        ({"top_p": 0.9}, False, True),
        ({"top_k": 4}, False, True),
        ({"top_k": 0, "top_p": 1.0}, False, False),
        ({"do_sample": True, "temperature": 0}, False, False),
    ],
)
def test_up_to_0_31_only_do_sample_samples(parameters: dict[str, Any], early: bool, late: bool):
    for version, sampled in (("0.31.0", early), ("0.32.0", late), ("0.36.0", late)):
        (request,) = call(parameters, given=terms(version)).requests
        assert request.sampling.do_sample is sampled
        if not sampled:
            assert request.sampling.temperature is request.sampling.top_p is None


@pytest.mark.parametrize(
    ("parameters", "stop"),
    [
        ({"stop": "x"}, ("x",)),
        ({"stop": ["x", "y"]}, ("x", "y")),
        ({"stop_sequences": ["x", ""]}, ("x",)),
        ({"stop": ["x"], "stop_sequences": "x"}, ("x",)),
    ],
)
def test_stop_strings_come_alone_or_in_a_list_under_either_name(
    parameters: dict[str, Any], stop: tuple[str, ...]
):
    assert call(parameters).requests[0].stop == stop


# What LMI's documentation and vLLM's, whose parameters its containers hand on, name: what it does here, what
# asks for nothing, and what asks for something. "refused": by its name, unless it asks for nothing.
DOCUMENTED: dict[str, tuple[str, tuple[Any, ...], tuple[Any, ...]]] = {
    "do_sample": ("honoured", (False, None), (True,)),
    "seed": ("honoured", (None,), (7,)),
    "temperature": ("honoured", (None,), (0.5, 0)),
    "repetition_penalty": ("honoured", (None,), (1.5,)),
    "top_k": ("honoured", (0, -1), (5,)),
    "top_p": ("honoured", (1.0,), (0.5,)),
    "max_new_tokens": ("honoured", (None,), (5,)),
    "max_tokens": ("honoured", (None,), (5,)),
    "details": ("honoured", (False,), (True,)),
    "return_full_text": ("honoured", (False,), (True,)),
    "echo": ("honoured", (False,), (True,)),
    "stop_sequences": ("honoured", (None, []), (["x"],)),
    "stop": ("honoured", (None, []), (["x"], "x")),
    "truncate": ("honoured", (None,), (5,)),
    "truncate_prompt_tokens": ("honoured", (None, -1), (5,)),
    "presence_penalty": ("honoured", (None,), (0.5,)),
    "frequency_penalty": ("honoured", (None,), (0.5,)),
    "ignore_eos_token": ("honoured", (False,), (True,)),
    "ignore_eos": ("honoured", (False,), (True,)),
    "logit_bias": ("honoured", (None, {}, {"5": 0}), ({"5": 1.5},)),
    "stop_token_ids": ("honoured", (None, []), ([5, 6],)),
    "include_stop_str_in_output": ("honoured", (None,), (True, False)),
    "skip_special_tokens": ("honoured", (True,), (False,)),
    "spaces_between_special_tokens": ("honoured", (True, False), ()),
    "guided_json": ("honoured", (None,), ({"type": "object"},)),
    "guided_regex": ("honoured", (None,), ("a+",)),
    "guided_choice": ("honoured", (None,), (["a", "b"],)),
    "decoder_input_details": ("honoured", (False,), (True,)),
    "typical_p": ("honoured", (1.0,), (0.5,)),
    "min_p": ("refused", (0.0,), (0.1,)),
    "min_tokens": ("refused", (0,), (5,)),
    "min_new_tokens": ("refused", (0,), (5,)),
    "min_length": ("refused", (0, 1), (5,)),
    "n": ("refused", (1,), (2,)),
    "best_of": ("refused", (1,), (2,)),
    "num_beams": ("refused", (1,), (2,)),
    "beam_width": ("refused", (1,), (2,)),
    "use_beam_search": ("refused", (False,), (True,)),
    "length_penalty": ("refused", (1.0,), (0.5,)),
    "early_stopping": ("refused", (False,), (True, "never")),
    "logprobs": ("refused", (0, 1, True, False), (5,)),
    "prompt_logprobs": ("refused", (None,), (0, 1)),
    "bad_sequences": ("refused", ([],), (["x"],)),
    "bad_words": ("refused", ([],), (["x"],)),
    "allowed_token_ids": ("refused", (None,), ([5],)),
    "no_repeat_ngram_size": ("refused", (0,), (2,)),
    "guided_grammar": ("refused", (None,), ("root ::= x",)),
    "structured_outputs": ("refused", (None,), ({"regex": "a"},)),
    "response_format": ("refused", (None, {"type": "text"}), ({"type": "json_object"},)),
    "logits_processor": ("refused", (None,), ("x",)),
    "logits_processors": ("refused", (None, []), (["x"],)),
    "suffix": ("refused", (None, ""), ("x",)),
    "detokenize": ("refused", (True,), (False,)),
    "add_special_tokens": ("refused", (True,), (False,)),
    "random_seed": ("refused", (None,), (5,)),
    "priority": ("refused", (0,), (5,)),
    "watermark": ("refused", (False,), (True,)),
    "cached_prompt": ("refused", (None,), ("a",)),
    "penalty_alpha": ("refused", (0,), (0.5,)),
    "manual_seed": ("refused", (None,), (5,)),
}


def asked(name: str, value: object, version: str) -> LmiCall:
    """A call that samples and stops, so that everything can count."""
    return call({"do_sample": True, "stop": ["#"]} | {name: value}, given=terms(version))


@pytest.mark.parametrize("version", ["0.25.0", "0.27.0", "0.32.0", "0.36.0"])
@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_documented_parameter_is_honoured_or_refused_by_its_name(version: str, name: str):
    what, nothing, something = DOCUMENTED[name]
    unasked = asked(name, nothing[0], version)
    for value in nothing:
        assert asked(name, value, version) == unasked
    for value in something:
        if what == "refused":
            with pytest.raises(Unsupported) as refused:
                asked(name, value, version)
            assert refused.value.option == name
        else:
            asked(name, value, version)
    if what == "honoured" and something:
        assert any(asked(name, value, version) != unasked for value in something)


def test_the_table_of_parameters_is_complete():
    assert set(LmiParameters.__struct_fields__) - {"top_n_tokens", "output_formatter"} == set(DOCUMENTED)


def test_vllms_names_mean_what_ours_do():
    given = call(
        {"logit_bias": {"5": 1.5, "6": 0}, "stop_token_ids": [3, 4], "ignore_eos": True, "echo": True}
    )
    sampling = given.requests[0].sampling
    assert (sampling.logit_bias, sampling.stop_token_ids) == (((5, 1.5),), frozenset({3, 4}))
    assert sampling.ignore_eos and given.shape.full_text
    assert call({"truncate_prompt_tokens": 5}).requests[0].truncate == 5


@pytest.mark.parametrize(
    ("version", "parameters", "most"),
    [
        ("0.27.0", {"max_tokens": 5}, 5),
        ("0.27.0", {"max_tokens": 5, "max_new_tokens": 7}, 7),
        ("0.36.0", {"max_tokens": 5, "max_new_tokens": 7}, 5),
        ("0.36.0", {"max_new_tokens": 7}, 7),
    ],
)
def test_of_two_lengths_vllms_counts_where_its_api_reads_the_body(
    version: str, parameters: dict[str, Any], most: int
):
    assert call(parameters, given=terms(version)).requests[0].max_new_tokens == most


STOPPED = (
    Token(1, "Hi", -0.5),
    Token(9, "<mark>", -0.5, special=True),
    Token(2, " Hum", -0.5),
    Token(3, "our", -0.5),
    Token(4, " Hum", -0.5),
    Token(5, "an: more", -0.5),
)


def text_of(found: LmiCall, tokens: tuple[Token, ...] = STOPPED, reason: Any = "stop") -> str:
    """Of a stream, whose pieces are the whole text."""
    encoder, sent = found.encoder(Identity("i", "m", 0, "f")), list[bytes]()
    for at, token in enumerate(tokens):
        finish = Finish(reason, prompt_tokens=2, generated_tokens=len(tokens))
        payload = encoder.feed(Delta((token,), finish if at == len(tokens) - 1 else None))
        sent += payload if isinstance(payload, tuple) else (payload,)
    if not found.stream or found.kind == "pieces":
        return json.loads(b"".join(sent))["generated_text"]
    lines = [json.loads(line) for line in b"".join(sent).splitlines()]
    assert len(lines) == len(tokens)
    if found.kind == "outputs":
        return "".join(line["outputs"][0] for line in lines)
    assert "".join(line["token"]["text"] for line in lines) == lines[-1]["generated_text"]
    return lines[-1]["generated_text"]


@pytest.mark.parametrize(
    ("version", "parameters", "text"),
    [
        ("0.25.0", {}, "Hi Humour Human: more"),
        ("0.25.0", {"include_stop_str_in_output": False}, "Hi Humour"),
        ("0.27.0", {}, "Hi Humour Human: more"),
        ("0.27.0", {"include_stop_str_in_output": False}, "Hi Humour"),
        ("0.36.0", {}, "Hi Humour"),
        ("0.36.0", {"include_stop_str_in_output": True}, "Hi Humour Human: more"),
        ("0.36.0", {"skip_special_tokens": False}, "Hi<mark> Humour"),
        ("0.27.0", {"skip_special_tokens": False}, "Hi<mark> Humour Human: more"),
    ],
)
def test_stop_strings_and_control_tokens_are_seen_as_the_release_and_the_caller_have_it(
    version: str, parameters: dict[str, Any], text: str
):
    asked = {"stop": [" Human:"], "details": True} | parameters
    for form in (Format(), Format("jsonlines")):
        given = LmiTerms(lmi_release(version), form)
        for stream in (True, False):
            assert text_of(call(asked, given=given, stream=stream)) == text


def test_what_may_have_begun_a_stop_string_is_sent_when_the_answer_ends_otherwise():
    tokens = (Token(1, "Hi", -0.5), Token(2, " Hum", -0.5), Token(9, "</s>", -0.5, special=True))
    asked = {"stop": [" Human:"]}
    for stream in (True, False):
        assert text_of(call(asked, given=terms("0.36.0"), stream=stream), tokens, "eos") == "Hi Hum"
    shown = asked | {"skip_special_tokens": False, "include_stop_str_in_output": True}
    assert text_of(call(shown, given=terms("0.36.0"), stream=True), tokens, "eos") == "Hi Hum</s>"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("watermark", True),
        ("best_of", 2),
        ("length_penalty", 0.5),
        ("no_repeat_ngram_size", 2),
        ("guided_grammar", "root ::= x"),
        ("cached_prompt", "a"),
    ],
)
def test_an_option_that_nothing_here_does_is_never_ignored(option: str, value: object):
    with pytest.raises(Unsupported) as refused:
        call({option: value})
    assert refused.value.option == option


@pytest.mark.parametrize(
    ("option", "value", "grammar"),
    [
        ("guided_json", {"type": "object"}, Grammar("json_schema", '{"type":"object"}')),
        ("guided_json", '{"type": "object"}', Grammar("json_schema", '{"type":"object"}')),
        ("guided_regex", "[0-9]+", Grammar("regex", "[0-9]+")),
        ("guided_choice", ["yes", "no (1.5)"], Grammar("regex", r"yes|no \(1\.5\)")),
    ],
)
def test_guided_decoding_holds_the_answer_to_a_grammar(option: str, value: object, grammar: Grammar):
    assert call({option: value}).requests[0].sampling.grammar == grammar


def test_one_guide_is_enough():
    with pytest.raises(Invalid, match="only one of"):
        call({"guided_regex": "a", "guided_choice": ["a"]})
    with pytest.raises(Invalid, match="grammar is not valid"):
        call({"guided_regex": "("})


def test_the_end_of_sequence_may_be_ignored():
    assert call({"ignore_eos_token": True}).requests[0].sampling.ignore_eos
    assert not call({}).requests[0].sampling.ignore_eos


def test_several_inputs_are_answered_together():
    found = call(inputs=["a", "b"], given=terms("0.25.0", rolling_batch=False))
    assert [request.prompt for request in found.requests] == [TextPrompt("a"), TextPrompt("b")]
    assert (found.kind, found.stream, found.content_type) == ("array", False, "application/json")
    assert call(inputs=["a", "b"], given=terms("0.27.0")).kind == "array"
    assert call(inputs=["a", "b"]).kind == "array"
    assert call(inputs=["a"]).kind == "pieces"


def test_several_inputs_are_streamed_where_lines_can_tell_them_apart():
    assert call(inputs=["a", "b"], given=terms("0.25.0", formatter="jsonlines")).kind == "outputs"
    assert call(inputs=["a", "b"], given=terms("0.36.0"), stream=True).kind == "lines"
    with pytest.raises(Invalid, match="several `inputs` cannot be streamed"):
        call(inputs=["a", "b"], given=terms("0.27.0"), stream=True)


@pytest.mark.parametrize("inputs", [[], [""], ["a", ""]])
def test_there_is_a_text_in_every_input(inputs: list[str]):
    with pytest.raises(Invalid, match="`inputs` cannot be empty"):
        call(inputs=inputs)


def test_more_inputs_than_are_answered_at_once_are_refused():
    with pytest.raises(BatchTooLarge, match=r"`inputs` may have up to 4 texts. Given: 5"):
        call(inputs=list("abcde"))


def test_an_answer_ends_where_the_context_does():
    found = call({"max_new_tokens": 50}, given=LmiTerms(limits=Limits(10, 20)))
    assert found.settle(found.requests[0], prompt_tokens=10).max_new_tokens == 10
    assert found.settle(found.requests[0], prompt_tokens=1).max_new_tokens == 19
    with pytest.raises(Invalid, match=r"up to 10 tokens\. Given: 11"):
        found.settle(found.requests[0], prompt_tokens=11)
    with pytest.raises(Invalid, match="cannot be empty"):
        found.settle(found.requests[0], prompt_tokens=0)


def test_an_adapter_is_named_for_all_inputs_or_for_each():
    given = LmiTerms(tgi=Terms(adapters=frozenset({"x", "y"})))

    def named(adapters: object, inputs: object = ("a", "b")) -> list[str | None]:
        found = call(adapters=adapters, inputs=inputs, given=given)
        return [request.sampling.adapter for request in found.requests]

    assert named("x") == ["x", "x"]
    assert named(["x", "y"]) == ["x", "y"]
    assert named(["", "y"]) == [None, "y"]
    assert named(["x"], "a") == ["x"]
    assert named(None) == [None, None]
    with pytest.raises(Invalid, match="Adapter z is not registered"):
        named("z")
    with pytest.raises(Invalid, match="Number of adapters is not equal to the number of inputs"):
        named(["x"])


MESSAGES = [{"role": "user", "content": "a"}]


@pytest.mark.parametrize(
    ("version", "body"),
    [
        ("0.27.0", {"inputs": "a"}),
        ("0.27.0", {"messages": MESSAGES}),
        ("0.36.0", {"inputs": "a"}),
        ("0.36.0", {"messages": MESSAGES}),
        ("0.36.0", {"messages": MESSAGES, "n": 2}),
        ("0.36.0", {"prompt": "a"}),
        ("0.36.0", {"prompt": ["a", "b"]}),
        ("0.36.0", {"prompt": ["a", "b"], "n": 2}),
    ],
)
def test_an_adapter_counts_in_every_body(version: str, body: dict[str, Any]):
    given = LmiTerms(lmi_release(version), tgi=Terms(adapters=frozenset({"x", "y"})))

    def named(adapters: object) -> list[str | None]:
        document = json.dumps(body | {"adapters": adapters}).encode()
        return [request.sampling.adapter for request in lmi.read(document, given).call().requests]

    prompts = 2 if isinstance(body.get("prompt"), list) else 1
    count = prompts * body.get("n", 1)
    assert named("x") == ["x"] * count
    assert named("") == named(None) == [None] * count
    expected = ["x"] if prompts == 1 else [*["x"] * body.get("n", 1), *["y"] * body.get("n", 1)]
    assert named(["x", "y"][:prompts]) == (expected if prompts == 2 else ["x"] * count)
    with pytest.raises(Invalid, match="Adapter z is not registered"):
        named("z")
    with pytest.raises(Invalid, match="Number of adapters is not equal to the number of inputs"):
        named(["x", "y", "x"])


def test_a_body_may_name_its_formatter_before_the_operators():
    assert call({"output_formatter": "jsonlines"}, given=terms("0.27.0")).kind == "lines"
    assert call({"output_formatter": "json"}, given=terms("0.27.0", formatter="sse")).kind == "whole"


@pytest.mark.parametrize(
    ("version", "body", "kind"),
    [
        ("0.36.0", {"prompt": "a"}, ParsedLmiCompletion),
        ("0.36.0", {"prompt": "a", "inputs": "b"}, ParsedLmiCompletion),
        ("0.36.0", {"inputs": "a", "messages": []}, lmi.ParsedLmiGenerate),
        ("0.36.0", {"messages": [], "prompt": None}, ParsedLmiCompletion),
        ("0.27.0", {"inputs": "a", "messages": []}, ParsedLmiCompletion),
        ("0.27.0", {"inputs": "a", "prompt": "a"}, lmi.ParsedLmiGenerate),
        ("0.26.0", {"inputs": "a", "messages": []}, lmi.ParsedLmiGenerate),
        ("0.25.0", {"inputs": "a", "messages": []}, lmi.ParsedLmiGenerate),
    ],
)
def test_the_keys_of_a_body_say_what_it_is(version: str, body: dict[str, Any], kind: type):
    found = lmi.read(json.dumps(body).encode(), terms(version))
    assert isinstance(found, kind)


def test_a_body_without_any_of_these_keys_is_told_of_them():
    with pytest.raises(Misshapen, match="must contain prompt, inputs, or messages"):
        lmi.read(b"{}", terms("0.36.0"))
    with pytest.raises(Misshapen, match="inputs"):
        lmi.read(b'{"prompt": "a"}', terms("0.27.0"))


@pytest.mark.parametrize(
    ("version", "form", "content_type"),
    [
        ("0.36.0", {}, "text/event-stream"),
        ("0.36.0", {"chat_as_lines": True}, "application/jsonlines"),
        ("0.27.0", {}, "application/jsonlines"),
        ("0.27.0", {"formatter": "jsonlines"}, "application/jsonlines"),
        ("0.27.0", {"formatter": "sse_chat"}, "text/event-stream"),
    ],
)
def test_a_conversation_streams_as_its_release_and_operator_have_it(
    version: str, form: dict[str, Any], content_type: str
):
    for stream, expected in ((True, content_type), (False, "application/json")):
        body = {"messages": [{"role": "user", "content": "a"}], "stream": stream}
        found = lmi.read(json.dumps(body).encode(), terms(version, **form)).call()
        assert (found.stream, found.content_type, found.keepalive) == (stream, expected, b"")
        assert len(found.requests) == 1
        assert found.settle(found.requests[0], prompt_tokens=1).max_new_tokens > 1


def test_tools_of_a_conversation_are_called_in_lines_too():
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    body = {"messages": [{"role": "user", "content": "a"}], "stream": True, "tools": tools}
    told = lmi.read(json.dumps(body | {"tool_choice": "required"}).encode(), terms("0.29.0")).call()
    encoder = told.encoder(Identity("7", "m", 1, "f"))
    text = '{"name": "f", "arguments": {"a": 1}}'
    payload = encoder.feed(Delta((Token(1, text, -1.0),), Finish("eos", 1, 1)))
    (line,) = payload
    assert isinstance(line, bytes)
    assert line.endswith(b"}\n")
    (call,) = json.loads(line)["choices"][0]["delta"]["tool_calls"]
    assert call["function"] == {"name": "f", "arguments": '{"a": 1}'}


VERSIONS = st.sampled_from(["0.23.0", "0.26.0", "0.27.0", "0.31.0", "0.36.0"])
FORMS = st.builds(
    Format,
    st.sampled_from([None, "json", "jsonlines", "sse", "json_chat", "jsonlines_chat", "sse_chat"]),
    st.sampled_from([None, "true", "false", "huggingface"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(),
    st.sampled_from([[], ["a"], {}, 1, 0.5, "a"]),
)  # fmt: skip
KEYS = st.sampled_from(["inputs", "parameters", "stream", "adapters", "messages", "prompt"])


@given(
    VERSIONS,
    FORMS,
    st.dictionaries(st.sampled_from(LmiParameters.__struct_fields__), VALUES, max_size=4),
    st.dictionaries(KEYS, VALUES, max_size=3),
)
def test_no_body_however_odd_is_anything_but_answered_or_refused(
    version: str, form: Format, parameters: dict[str, Any], rest: dict[str, Any]
):
    body = {"inputs": "a", "parameters": parameters} | rest
    with suppress(Invalid):
        found = lmi.read(json.dumps(body).encode(), LmiTerms(lmi_release(version), form)).call()
        encoder = found.encoder(Identity("7", "m", 1, "f"))
        for index in range(len(found.requests)):
            encoder.feed(Delta((Token(1, "a", -1.0),), Finish("length", 1, 1), index))
        encoder.fail(EngineDied("gone"))


@given(st.binary(), VERSIONS)
def test_no_bytes_are_anything_but_read_or_refused(body: bytes, version: str):
    with suppress(Invalid):
        lmi.read(body, terms(version))
