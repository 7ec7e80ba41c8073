"""TGI's rules: every message, their order, and what a body means."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from nearstream.core.errors import (
    GenerationFailed,
    Invalid,
    Malformed,
    Misshapen,
    NearstreamError,
    NotReady,
    Overloaded,
    TemplateFailed,
    ToolFailed,
    Unsupported,
    Unusable,
)
from nearstream.core.generation import Grammar
from nearstream.core.ports import Settled
from nearstream.wire.dialects.hf.terms import Terms, tgi_release
from nearstream.wire.dialects.limits import Limits
from nearstream.wire.dialects.tgi import generate as tgi

TERMS = Terms()
TYPES = "`type` of the schema must be one of array, boolean, integer, null, number, object, string"
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def call(
    parameters: object = None, *, route: tgi.Route = tgi.Route.GENERATE, terms: Terms = TERMS, **body: Any
):
    document = {"inputs": "hi"} | ({} if parameters is None else {"parameters": parameters}) | body
    return tgi.read(json.dumps(document).encode(), terms, route=route).call()


def settled(parameters: object = None, *, prompt_tokens: int = 1, **options: Any) -> Settled:
    found = call(parameters, **options)
    return found.settle(found.requests[0], prompt_tokens=prompt_tokens)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"best_of": 0}, "`best_of` must be > 0 and <= 2. Given: 0"),
        ({"best_of": 3}, "`best_of` must be > 0 and <= 2. Given: 3"),
        ({"best_of": 2}, "you must use sampling when `best_of` is > 1"),
        ({"best_of": 2, "do_sample": True, "seed": 1}, "`seed` must not be set when `best_of` > 1"),
        ({"temperature": 0}, "`temperature` must be strictly positive"),
        ({"temperature": -0.5}, "`temperature` must be strictly positive"),
        ({"repetition_penalty": 0.0}, "`repetition_penalty` must be strictly positive"),
        ({"frequency_penalty": 2.1}, "`frequency_penalty` must be >= -2.0 and <= 2.0"),
        ({"top_p": 1.0}, "`top_p` must be > 0.0 and < 1.0"),
        ({"top_p": 0}, "`top_p` must be > 0.0 and < 1.0"),
        ({"typical_p": 1.5}, "`typical_p` must be > 0.0 and < 1.0"),
        ({"top_k": 0}, "`top_k` must be strictly positive"),
        ({"top_k": -1}, "`top_k` must be strictly positive"),
        ({"max_new_tokens": 0}, "`max_new_tokens` must be strictly positive"),
        ({"stop": list("abcde")}, "`stop` supports up to 4 stop sequences. Given: 5"),
        ({"seed": 2**64}, "`seed` must fit in 64 bits"),
        ({"top_n_tokens": 6}, "`top_n_tokens` must be >= 0 and <= 5. Given: 6"),
        ({"truncate": 0}, "`truncate` must be strictly positive and less than 4095. Given: 0"),
        ({"truncate": 4096}, "`truncate` must be strictly positive and less than 4095. Given: 4096"),
        ({"grammar": {"type": "bnf", "value": ""}}, "grammar is not valid: unknown type 'bnf'"),
        ({"grammar": {"type": "json", "value": 1}}, "grammar is not valid: a JSON schema is an object"),
        ({"grammar": {"type": "json"}}, "grammar is not valid: a JSON schema is an object"),
        ({"grammar": {"type": "json", "value": "{"}}, "grammar is not valid: Input data was truncated"),
        ({"grammar": {"type": "json", "value": {"type": "text"}}}, f"grammar is not valid: {TYPES}"),
        (
            {"grammar": {"type": "json", "value": {"properties": {"a": {"items": 3}}}}},
            "grammar is not valid: `items` of `a` in `properties` of the schema must be an object, not 3",
        ),
        (
            {"grammar": {"type": "json", "value": {"required": "a"}}},
            "grammar is not valid: `required` of the schema must be a list",
        ),
        (
            {"grammar": {"type": "regex", "value": "(a"}},
            "grammar is not valid: missing ), unterminated subpattern at position 0",
        ),
    ],
)
def test_a_broken_rule_is_told_in_tgis_words(parameters: dict[str, Any], message: str):
    with pytest.raises(Invalid) as refused:
        settled(parameters)
    assert str(refused.value) == message


def test_the_first_broken_rule_counts():
    broken = {"temperature": -1, "top_p": 2, "top_k": 0, "max_new_tokens": 0, "truncate": 0}
    order = ["temperature", "top_p", "top_k", "max_new_tokens", "truncate"]
    for name in order:
        with pytest.raises(Invalid, match=f"`{name}`"):
            call(broken)
        del broken[name]
    with pytest.raises(Invalid, match="`inputs` cannot be empty"):
        call({"truncate": 0}, inputs="")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"best_of": 2, "temperature": -1}, "`best_of` != 1 is not supported when streaming tokens"),
        (
            {"decoder_input_details": True, "temperature": -1},
            "`decoder_input_details` == true is not supported when streaming tokens",
        ),
    ],
)
def test_what_cannot_be_streamed_is_refused_first(parameters: dict[str, Any], message: str):
    with pytest.raises(Invalid) as refused:
        call(parameters, route=tgi.Route.STREAM)
    assert str(refused.value) == message


def test_best_of_can_be_switched_off():
    with pytest.raises(Invalid, match="not allowed for this endpoint"):
        call({"best_of": 2}, terms=Terms(limits=Limits(max_best_of=1)))


def test_best_of_asks_for_so_many_sequences():
    assert len(call({"best_of": 2, "do_sample": True}).requests) == 2
    assert len(call({"best_of": 1}).requests) == len(call().requests) == 1


@pytest.mark.parametrize(
    ("parameters", "sampled"),
    [
        (None, True),
        ({}, False),
        ({"do_sample": True}, True),
        ({"temperature": 0.7}, True),
        ({"temperature": 1.0}, False),
        ({"top_k": 5}, True),
        ({"top_p": 0.9}, True),
        ({"repetition_penalty": 1.1}, False),
    ],
)
def test_sampling_is_on_when_asked_for_or_implied(parameters: dict[str, Any] | None, sampled: bool):
    assert call(parameters).requests[0].sampling.do_sample is sampled


def test_before_1_4_an_absent_parameters_is_greedy():
    assert not call(terms=Terms(release=tgi_release("1.0.3"))).requests[0].sampling.do_sample


@pytest.mark.parametrize(
    ("version", "tokens"), [("0.9.3", 20), ("1.0.3", 20), ("1.4.2", 100), ("2.4.0", 100), ("3.3.7", None)]
)
def test_the_default_length_depends_on_the_release(version: str, tokens: int | None):
    assert call(terms=Terms(release=tgi_release(version))).requests[0].max_new_tokens == tokens
    assert call({"max_new_tokens": 7}).requests[0].max_new_tokens == 7


def test_every_option_reaches_the_engine():
    sampling = (
        call(
            {
                "temperature": 0.5,
                "top_k": 3,
                "top_p": 0.9,
                "typical_p": 0.8,
                "repetition_penalty": 1.2,
                "frequency_penalty": -0.5,
                "seed": 2**64 - 1,
                "top_n_tokens": 2,
                "watermark": True,
                "decoder_input_details": True,
                "adapter_id": "mine",
                "unknown": "ignored",
            },
            terms=replace(TERMS, adapters=frozenset({"mine"})),
        )
        .requests[0]
        .sampling
    )
    assert (sampling.temperature, sampling.top_k, sampling.top_p, sampling.typical_p) == (0.5, 3, 0.9, 0.8)
    assert (sampling.repetition_penalty, sampling.frequency_penalty, sampling.seed) == (1.2, -0.5, 2**64 - 1)
    assert (sampling.top_n_tokens, sampling.watermark, sampling.prefill_logprobs) == (2, True, True)
    assert sampling.adapter == "mine"
    assert call({"adapter_id": "other"}).requests[0].sampling.adapter is None


@pytest.mark.parametrize(
    "grammar",
    [
        {"type": "json", "value": SCHEMA},
        {"type": "json", "value": json.dumps(SCHEMA)},
        {"type": "json_object", "value": SCHEMA},
        {"type": "json_schema", "value": {"name": "thing", "schema": SCHEMA}},
    ],
)
def test_a_schema_is_taken_in_each_of_its_forms(grammar: dict[str, Any]):
    found = settled({"grammar": grammar}).sampling.grammar
    assert found is not None
    assert (found.kind, json.loads(found.source)) == ("json_schema", SCHEMA)


def test_a_regular_expression_is_a_grammar_too():
    grammar = {"type": "regex", "value": "[a-z]+"}
    assert settled({"grammar": grammar}).sampling.grammar == Grammar("regex", "[a-z]+")


@pytest.mark.parametrize(
    "parameters",
    [
        {"max_new_tokens": 2**32},
        {"top_k": 2**31},
        {"seed": -1},
        {"do_sample": None},
        {"stop": None},
        {"stop": "a"},
        {"max_new_tokens": -1},
        {"temperature": "1"},
        [],
    ],
)
def test_a_value_of_the_wrong_kind_is_misshapen(parameters: object):
    with pytest.raises(Misshapen):
        call(parameters)


def test_null_is_taken_for_optional_numbers():
    names = (
        "temperature",
        "top_k",
        "top_p",
        "seed",
        "max_new_tokens",
        "truncate",
        "return_full_text",
        "grammar",
    )
    assert call(dict.fromkeys(names)).requests[0].max_new_tokens is None


def test_what_is_not_json_is_malformed():
    for body in (b"", b"{", b"\xff\xfe", b"[" * 100_000):
        with pytest.raises(Malformed):
            tgi.read(body, TERMS, route=tgi.Route.GENERATE)


def test_only_the_root_looks_at_stream():
    body = b'{"inputs": "hi", "stream": true}'
    streamed = {route: tgi.read(body, TERMS, route=route).stream for route in tgi.Route}
    assert streamed == {
        tgi.Route.COMPAT: True,
        tgi.Route.INVOCATIONS: True,
        tgi.Route.GENERATE: False,
        tgi.Route.STREAM: True,
    }


def test_limits_and_versions_that_make_no_sense_are_unusable():
    with pytest.raises(Unusable, match=r"`max_input_tokens`\(9\) must be < `max_total_tokens`\(9\)"):
        Limits(max_input_tokens=9, max_total_tokens=9)
    with pytest.raises(Unusable, match="not a TGI version"):
        tgi_release("latest")


def test_tokens_are_counted_before_the_grammar_is_looked_at():
    broken = {"grammar": {"type": "bnf"}, "max_new_tokens": 10}
    with pytest.raises(Invalid, match="Given: 4090 `inputs` tokens and 10 `max_new_tokens`"):
        settled(broken, prompt_tokens=4090)
    with pytest.raises(Invalid, match=r"`inputs` must have less than 4095 tokens. Given: 4096"):
        settled({"grammar": {"type": "bnf"}}, prompt_tokens=4096)
    with pytest.raises(Invalid, match="grammar is not valid"):
        settled(broken, prompt_tokens=4086)


@pytest.mark.parametrize(("version", "tokens"), [("3.3.7", 4095), ("2.0", 100), ("1.0", 20)])
def test_a_length_that_is_not_asked_for_is_the_releases_own_or_fills_the_context(version: str, tokens: int):
    assert settled(terms=Terms(release=tgi_release(version))).max_new_tokens == tokens


@pytest.mark.parametrize(
    ("version", "prompt_tokens", "asked", "outcome"),
    [
        ("3.3.7", 3072, 1024, 1024),
        ("3.3.7", 3072, 2**32 - 1, 1024),
        ("3.3.7", 1, 4096, 4095),
        ("3.3.7", 3073, 1023, 1023),
        ("3.3.7", 3073, 1024, "Given: 3073 `inputs` tokens and 1024 `max_new_tokens`"),
        ("3.3.7", 3073, 5000, "Given: 3073 `inputs` tokens and 1024 `max_new_tokens`"),
        ("3.3.7", 3073, None, 1023),
        ("3.1.1", 3072, 1025, 1024),
        ("3.1.0", 3072, 1024, 1024),
        ("3.1.0", 3072, 1025, "Given: 3072 `inputs` tokens and 1025 `max_new_tokens`"),
        ("2.4", 3072, 1025, "Given: 3072 `inputs` tokens and 1025 `max_new_tokens`"),
    ],
)
def test_of_a_long_answer_late_releases_count_1024_tokens_and_grant_what_fits(
    version: str, prompt_tokens: int, asked: int | None, outcome: int | str
):
    asking = {"parameters": {"max_new_tokens": asked}, "terms": Terms(release=tgi_release(version))}
    if isinstance(outcome, int):
        assert settled(**asking, prompt_tokens=prompt_tokens).max_new_tokens == outcome
        return
    with pytest.raises(Invalid, match=outcome):
        settled(**asking, prompt_tokens=prompt_tokens)


def test_an_engine_that_lacks_an_option_is_quoted_under_the_options_name_in_the_body():
    parsed = tgi.read(b'{"inputs": "hi"}', TERMS, route=tgi.Route.GENERATE)
    refused = parsed.error(Unsupported("prefill_logprobs", "toy", "it has none"))
    assert (refused.status, json.loads(refused.body)["error"]) == (
        422,
        "Input validation error: `decoder_input_details` is not supported by the toy engine: it has none",
    )


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Invalid("x"), 200),
        (Overloaded("x"), 200),
        (GenerationFailed("x"), 200),
        (TemplateFailed("x"), 422),
        (ToolFailed("x"), 422),
        (NotReady("x"), 503),
    ],
)
def test_some_errors_come_before_the_stream_and_most_inside_it(error: NearstreamError, status: int):
    refused = tgi.read(b'{"inputs": "hi"}', TERMS, route=tgi.Route.STREAM).error(error)
    assert refused.status == status
    assert refused.body.startswith(b"data: ") is (status == 200)


def test_only_tgis_own_streaming_routes_are_kept_alive():
    body = b'{"inputs": "hi", "stream": true}'
    keepalives = {route: tgi.read(body, TERMS, route=route).call().keepalive for route in tgi.Route}
    assert [route for route, keepalive in keepalives.items() if keepalive] == [
        tgi.Route.COMPAT,
        tgi.Route.STREAM,
    ]
    assert keepalives[tgi.Route.STREAM] == b":\n\n"
