"""How an LMI container says no, and who of its two sides does."""

from __future__ import annotations

import json

import pytest

from nearstream.core.errors import (
    Conflict,
    EngineDied,
    GenerationFailed,
    Invalid,
    Malformed,
    Misshapen,
    Missing,
    NearstreamError,
    NotReady,
    Overloaded,
    TemplateFailed,
    Unsupported,
    Unusable,
)
from nearstream.wire.dialects.lmi import generate as lmi
from nearstream.wire.dialects.lmi.errors import LmiErrors
from nearstream.wire.dialects.lmi.terms import Format, LmiTerms, lmi_release


@pytest.mark.parametrize(
    ("error", "status", "exception", "message"),
    [
        (
            Overloaded("line is full"),
            503,
            "WlmCapacityException",
            "Worker queue capacity exceeded for model: falcon",
        ),
        (NotReady("loading"), 503, "WlmException", "Model is not ready: falcon"),
        (
            Missing("Model or workflow not found: x"),
            404,
            "ModelNotFoundException",
            "Model or workflow not found: x",
        ),
        (Conflict("x {} is there"), 409, "ConflictStatusException", "x {} is there"),
        (Unusable("no such file"), 500, "InternalServerException", "no such file"),
    ],
)
def test_the_servers_errors_have_a_code_a_type_and_a_message(
    error: NearstreamError, status: int, exception: str, message: str
):
    said = LmiErrors(model="falcon").error(error)
    assert (said.status, said.content_type) == (status, "application/json")
    assert json.loads(said.body) == {"code": status, "type": exception, "message": message}
    assert said.body.startswith(b'{\n  "code": ')
    assert said.body.endswith(b"\n}\n")


@pytest.mark.parametrize(
    ("status", "exception"),
    [
        (400, "BadRequestException"),
        (404, "ResourceNotFoundException"),
        (405, "MethodNotAllowedException"),
        (413, "RequestEntityTooLargeException"),
        (503, "ServiceUnavailableException"),
        (507, "InsufficientStorageException"),
        (418, "InternalServerException"),
    ],
)
def test_what_is_https_alone_has_its_exception_too(status: int, exception: str):
    said = LmiErrors().plain(status, "no")
    assert said.status == status
    assert json.loads(said.body) == {"code": status, "type": exception, "message": "no"}


@pytest.mark.parametrize(
    "error",
    [Invalid("a rule"), TemplateFailed("no template"), GenerationFailed("it broke"), EngineDied("gone")],
)
def test_the_python_side_answers_424_with_what_went_wrong(error: NearstreamError):
    said = LmiErrors().error(error)
    assert said.status == 424
    assert said.body.decode() == f'{{"error":"{error}","code":424}}'


def test_the_first_generation_tells_the_code_first():
    said = LmiErrors(lmi_release("0.25.0")).error(EngineDied('signal "9"'))
    assert said.body == b'{"code": 424, "error": "signal \\"9\\""}'


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("0.25.0", "no inputs"),
        ("0.27.0", "Input Parsing failed. Ensure that the request payload is valid. no inputs"),
        ("0.36.0", "Input parsing failed: no inputs"),
    ],
)
@pytest.mark.parametrize("kind", [Malformed, Misshapen])
def test_a_body_that_cannot_be_read_is_told_in_its_releases_words(
    kind: type[NearstreamError], version: str, message: str
):
    said = LmiErrors(lmi_release(version)).error(kind("no inputs"))
    assert (said.status, json.loads(said.body)) == (424, {"error": message, "code": 424})


def test_an_error_without_a_text_is_told_by_its_kind():
    assert json.loads(LmiErrors().error(GenerationFailed()).body)["error"] == "GenerationFailed"


@pytest.mark.parametrize(
    ("body", "option", "name"),
    [
        ({"inputs": "a"}, "prefill_logprobs", "decoder_input_details"),
        ({"inputs": "a"}, "adapter", "adapters"),
        ({"inputs": "a"}, "typical_p", "typical_p"),
        ({"messages": [{"role": "user", "content": "a"}]}, "top_n_tokens", "top_logprobs"),
        ({"prompt": "a"}, "top_n_tokens", "logprobs"),
    ],
)
def test_what_the_engine_lacks_is_told_by_the_callers_name(body: dict[str, object], option: str, name: str):
    parsed = lmi.read(json.dumps(body | {"stream": True}).encode(), LmiTerms())
    said = parsed.error(Unsupported(option, "openvino"))
    assert said.status == 424
    assert json.loads(said.body)["error"] == f"`{name}` is not supported by the openvino engine"


@pytest.mark.parametrize("version", ["0.25.0", "0.27.0", "0.36.0"])
@pytest.mark.parametrize("error", [Overloaded("full"), EngineDied("gone"), NotReady("loading")])
def test_before_the_first_byte_also_a_stream_is_refused_by_status(version: str, error: NearstreamError):
    terms = LmiTerms(lmi_release(version), Format("jsonlines"), model="falcon")
    said = lmi.read(b'{"inputs": "a", "stream": true}', terms).error(error)
    assert said.status == (424 if isinstance(error, EngineDied) else 503)
    assert said.content_type == "application/json"
