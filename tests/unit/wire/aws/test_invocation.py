"""The hand-written reader of invocations, held to botocore's model of sagemaker-runtime."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict

from nearstream.core.errors import Invalid
from nearstream.core.invocations import Invocation
from nearstream.wire.aws import invocation, restjson, service
from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.invocation import answer_headers, parse, replica_headers, stream_headers
from nearstream.wire.aws.signed_request import RawRequest

RUNTIME = service.load("sagemaker-runtime")
MEMBERS = {
    "EndpointName": "endpoint",
    "ContentType": "content_type",
    "Accept": "accept",
    "CustomAttributes": "custom_attributes",
    "TargetModel": "target_model",
    "TargetVariant": "variant",
    "TargetContainerHostname": "target_container",
    "InferenceId": "inference_id",
    "EnableExplanations": "explanations",
    "InferenceComponentName": "inference_component",
    "SessionId": "session_id",
    "PrefixAwareId": "prefix_id",
}
HEADERS = sorted(
    member.serialization["name"]
    for name in ("InvokeEndpoint", "InvokeEndpointWithResponseStream")
    for member in RUNTIME.operation(name).input_shape.members.values()
    if member.serialization.get("location") == "header"
)
values = st.one_of(
    st.text(max_size=6),
    st.sampled_from(["NEW_SESSION", "a--b", "a-", "-a", "", " x", "a b", "application/json", "é", "a" * 64]),
    st.sampled_from(["a" * 257, "a" * 1025, "a-" * 100, "x\n"]),
)
actions = st.sampled_from(["invocations", "invocations-response-stream"])


def verdict(read):
    try:
        return read()
    except Invalid as error:
        return sorted(str(error).partition(": ")[2].split("; ")), str(error).partition(":")[0]


@example("ep", "invocations", {"X-Amzn-SageMaker-Target-Model": "\x1f"})
@example("ep", "invocations", {"X-Amzn-SageMaker-Inference-Id": "\x85"})
@given(
    st.sampled_from(["ep", "a--b", "a%20b", "a%2Fb", "%65p", "a" * 64, "-a"]),
    actions,
    st.dictionaries(st.sampled_from(HEADERS), values, max_size=4),
)
def test_the_hand_reader_and_the_model_agree(endpoint, action, headers):
    path = f"/endpoints/{endpoint}/{action}"

    def by_model():
        document = restjson.parse(
            RUNTIME, RawRequest("POST", path, "", tuple(headers.items()), b"{}")
        ).document
        document.pop("Body")
        return Invocation(
            streaming=action != "invocations", **{MEMBERS[name]: value for name, value in document.items()}
        )

    assert verdict(lambda: parse("POST", path, CIMultiDict(headers))) == verdict(by_model)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/endpoints/ep/invocations"),
        ("POST", "/endpoints//invocations"),
        ("POST", "/endpoints/ep"),
        ("POST", "/endpoints/ep/invocations/more"),
        ("POST", "/endpoints/ep/async-invocations"),
        ("POST", "/"),
        ("POST", ""),
    ],
)
def test_any_other_path_is_an_unknown_operation(method, path):
    with pytest.raises(AwsError) as caught:
        parse(method, path, {})
    assert (caught.value.code, caught.value.status) == ("UnknownOperationException", 404)


def test_the_container_gets_only_the_headers_of_the_api():
    headers = CIMultiDict(
        {
            "content-type": "application/json",
            "Authorization": "AWS4-HMAC-SHA256 …",
            "Cookie": "a=b",
            "accept": "*/*",
        }
    )
    assert replica_headers(parse("POST", "/endpoints/ep/invocations", headers)) == {
        "Content-Type": "application/json",
        "Accept": "*/*",
    }


def test_a_stream_says_its_own_type_in_a_header_of_its_own():
    upstream = CIMultiDict({"content-type": "text/event-stream", "Server": "x"})
    call = parse("POST", "/endpoints/ep/invocations-response-stream", {})
    assert stream_headers(call, "AllTraffic", upstream) == {
        "Content-Type": "application/vnd.amazon.eventstream",
        "X-Amzn-SageMaker-Content-Type": "text/event-stream",
        "x-Amzn-Invoked-Production-Variant": "AllTraffic",
    }


def test_a_whole_answer_hands_the_containers_session_headers_on():
    upstream = CIMultiDict(
        {
            "Content-Type": "application/json",
            "x-amzn-sagemaker-new-session-id": "s; Expires=2026-01-01T00:00:00Z",
        }
    )
    call = parse("POST", "/endpoints/ep/invocations", {})
    assert answer_headers(call, "v", upstream) == {
        "Content-Type": "application/json",
        "x-Amzn-Invoked-Production-Variant": "v",
        "X-Amzn-SageMaker-New-Session-Id": "s; Expires=2026-01-01T00:00:00Z",
    }


def test_a_call_that_opens_a_session_belongs_to_none_yet() -> None:
    assert Invocation("e", streaming=False, session_id="NEW_SESSION").joins is None
    assert Invocation("e", streaming=False, session_id="abc").joins == "abc"


def test_a_container_tells_which_session_it_opened_or_closed() -> None:
    opened = {"X-Amzn-SageMaker-New-Session-Id": "abc-1; Expires=2026-11-21T12:00:00Z"}
    assert invocation.opened_session(opened) == "abc-1"
    assert invocation.closed_session({"X-Amzn-SageMaker-Closed-Session-Id": "abc-1"}) == "abc-1"
    assert invocation.opened_session({}) is invocation.closed_session({}) is None


SESSION = "X-Amzn-SageMaker-Session-Id"


@pytest.mark.parametrize(
    ("asked", "named", "opened"),
    [
        ("NEW_SESSION", "abc; Expires=2026-11-21T12:00:00Z", "abc; Expires=2026-11-21T12:00:00Z"),
        (None, "abc", "abc"),
        ("NEW_SESSION", "NEW_SESSION", None),  # a handler that repeats the headers of its call
        ("abc", "abc", None),
    ],
)
def test_a_handler_may_name_its_session_as_calls_name_theirs(
    asked: str | None, named: str, opened: str | None
) -> None:
    call, upstream = Invocation("e", streaming=False, session_id=asked), {SESSION: named}
    headers = invocation.answer_headers(call, "v", upstream)
    assert headers.get("X-Amzn-SageMaker-New-Session-Id") == opened and SESSION not in headers
    assert invocation.opened_session(upstream, call.joins) == (opened and "abc")
