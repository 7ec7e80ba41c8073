"""LMI's bodies: what they mean, what they may not say, and which of its answers a call gets."""

from __future__ import annotations

import json

import pytest

from nearstream.core.errors import Invalid, Malformed, Misshapen, Unsupported, Unusable
from nearstream.core.generation import TextPrompt
from nearstream.wire.dialects import lmi
from nearstream.wire.dialects.lmi import LmiExchange
from nearstream.wire.dialects.lmi_terms import Format, LmiTerms, lmi_release

TERMS = LmiTerms(lmi_release("0.25.0"))


def terms(version: str, **form: object) -> LmiTerms:
    return LmiTerms(lmi_release(version), Format(**form))


def exchange(parameters: object = None, *, given: LmiTerms = TERMS, **body: object) -> LmiExchange:
    document = {"inputs": "hi"} | ({} if parameters is None else {"parameters": parameters}) | body
    found = lmi.read(json.dumps(document).encode(), given).exchange()
    assert isinstance(found, LmiExchange)
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
    (request,) = exchange().requests
    assert request.prompt == TextPrompt("hi")
    assert (request.max_new_tokens, request.stop, request.truncate) == (30, (), None)
    assert not request.sampling.do_sample
    assert not exchange().shape.details


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
    version: str, form: dict[str, object], stream: bool, kind: str
):
    found = exchange(given=terms(version, **form), stream=stream)
    assert found.kind == kind
    assert found.stream is (kind not in {"whole", "array"})


def test_a_body_that_is_no_json_or_lacks_its_inputs_is_refused():
    with pytest.raises(Malformed):
        lmi.read(b"{", TERMS)
    with pytest.raises(Misshapen, match="inputs"):
        lmi.read(b'{"prompt": "a"}', TERMS)


def test_what_could_only_be_ignored_is_refused_by_its_name():
    with pytest.raises(Unsupported) as refused:
        exchange({"num_beams": 4})
    assert refused.value.option == "num_beams"


def test_an_empty_text_is_refused():
    with pytest.raises(Invalid, match="`inputs` cannot be empty"):
        exchange(inputs="")
