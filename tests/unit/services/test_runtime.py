"""The runtime's answers and errors, as boto3 raises them."""

import json

import pytest
from botocore.exceptions import ClientError, EventStreamError
from tests.unit.services.cloud import ACCOUNT

from nearstream.core.errors import ServiceError
from nearstream.frontdoor import access
from nearstream.services.runtime.invocations import Runtime, stream_timed_out
from nearstream.wire.aws import invocation
from nearstream.wire.aws.errors import AwsError
from nearstream.wire.framing import eventstream


async def refused(call):
    with pytest.raises(ClientError) as caught:
        await call
    return caught.value.response


@pytest.fixture
async def serving(cloud):
    await cloud.make_endpoint()
    await cloud.settle("chat", "InService")
    return cloud


async def test_an_answer_comes_with_the_variant_that_gave_it(serving):
    answer = await serving.invoke("invoke_endpoint", EndpointName="chat", Body=b"{}")
    assert answer["Body"].read() == b'[{"generated_text": "hi"}]'
    assert (answer["ContentType"], answer["InvokedProductionVariant"]) == ("application/json", "AllTraffic")


async def test_a_stream_arrives_part_by_part(serving):
    answer = await serving.invoke("invoke_endpoint_with_response_stream", EndpointName="chat", Body=b"{}")
    parts = [event["PayloadPart"]["Bytes"] for event in answer["Body"]]
    assert b"".join(parts) == b'[{"generated_text": "hi"}]'
    assert all(len(part) == 1 for part in parts)
    assert answer["ContentType"] == "application/json"


async def test_a_stream_that_breaks_raises_what_boto3_knows(serving):
    serving.model_answers = (200, b"broken")
    answer = await serving.invoke("invoke_endpoint_with_response_stream", EndpointName="chat", Body=b"{}")
    with pytest.raises(EventStreamError, match="ModelStreamError") as caught:
        list(answer["Body"])
    assert "primary closed the connection" in str(caught.value)


async def test_an_unknown_endpoint_is_told_with_its_account(cloud):
    error = await refused(cloud.invoke("invoke_endpoint", EndpointName="No", Body=b""))
    assert error["Error"]["Code"] == "ValidationError"
    assert error["Error"]["Message"] == "Endpoint No of account 000000000000 not found."


async def test_an_endpoint_that_does_not_serve_says_its_status(cloud):
    await cloud.make_endpoint()
    error = await refused(cloud.invoke("invoke_endpoint", EndpointName="chat", Body=b""))
    assert error["Error"]["Code"] == "ValidationError"
    assert error["Error"]["Message"].startswith(
        "Endpoint chat of account 000000000000 not found. It is Creating"
    )
    await cloud.settle("chat", "Failed", "The model is too large.")
    error = await refused(cloud.invoke("invoke_endpoint", EndpointName="chat", Body=b""))
    assert error["Error"]["Message"].endswith("It is Failed, not InService. The model is too large.")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"TargetVariant": "other"}, "Variant other not found for endpoint chat"),
        (
            {"TargetModel": "m.tar.gz"},
            "is not a multi-model endpoint and does not support target model header.",
        ),
        ({"TargetContainerHostname": "c"}, "is not a multi-container endpoint"),
        (
            {"EnableExplanations": "`true`"},
            "EnableExplanations was given, and endpoint chat has no",
        ),
        ({"InferenceComponentName": "ic"}, "Inference Component ic of account"),
        ({"InferenceId": "x" * 65}, "at 'inferenceId' failed to satisfy constraint: Member must have length"),
    ],
)
async def test_headers_that_the_endpoint_cannot_honour_are_refused(serving, members, message):
    error = await refused(serving.invoke("invoke_endpoint", EndpointName="chat", Body=b"", **members))
    assert error["Error"]["Code"] == "ValidationError"
    assert message in error["Error"]["Message"]


async def test_a_models_error_is_passed_on_with_its_status(serving):
    serving.model_answers = (422, b'{"error":"Input validation error"}')
    error = await refused(serving.invoke("invoke_endpoint", EndpointName="chat", Body=b""))
    assert error["Error"]["Message"] == (
        'Received client error (422) from primary with message "{"error":"Input validation error"}".'
        " See `nearstream logs chat` in account 000000000000 for more information."
    )
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("ModelError", 424)
    assert (error["OriginalStatusCode"], error["OriginalMessage"]) == (
        422,
        '{"error":"Input validation error"}',
    )
    assert error["LogStreamArn"].endswith(":log-group:/aws/sagemaker/Endpoints/chat")


async def test_a_model_that_does_not_answer_in_time_is_a_server_error(serving):
    serving.model_answers = (None, b"")
    error = await refused(serving.invoke("invoke_endpoint", EndpointName="chat", Body=b""))
    assert error["Error"]["Message"].startswith(
        'Received server error (0) from primary with message "Your invocation'
    )


def test_a_body_over_25_mb_is_refused_by_its_size():
    access.check_size(access.MAX_BODY_BYTES)
    with pytest.raises(AwsError) as caught:
        access.check_size(access.MAX_BODY_BYTES + 1)
    assert (caught.value.code, caught.value.status) == ("ValidationError", 413)


def test_a_long_or_odd_error_of_the_model_is_cut_and_kept_readable():
    call = invocation.parse("POST", "/endpoints/chat/invocations", {})
    error = Runtime(ACCOUNT).model_failed(call, 500, b"\xff" + b"x" * 5000)
    assert len(str(error.fields["OriginalMessage"])) == 2048
    assert error.message.startswith(
        'Received server error (500) from primary with message "\N{REPLACEMENT CHARACTER}x'
    )


def test_a_container_that_went_away_is_told_before_and_within_a_stream():
    call = invocation.parse("POST", "/endpoints/chat/invocations", {})
    assert 'with message "The connection to container primary' in Runtime(ACCOUNT).broke(call).message
    (late,) = eventstream.Decoder().feed(invocation.stream_failure(stream_timed_out()))
    assert json.loads(late.payload) == {
        "Message": "Your model primary did not complete sending the inference response in the allotted time.",
        "ErrorCode": "ModelInvocationTimeExceeded",
    }


@pytest.mark.parametrize(
    ("attributes", "told"),
    [("x" * 1025, "CustomAttributes of 1025 characters"), ("trace=é", "characters that are not US-ASCII")],
)
def test_custom_attributes_that_no_client_may_be_sent_are_a_model_error(attributes, told):
    call, service = invocation.parse("POST", "/endpoints/chat/invocations", {}), Runtime(ACCOUNT)
    with pytest.raises(ServiceError, match=told) as caught:
        service.check_custom_attributes(call, attributes)
    assert caught.value.code == "ModelError"
    assert "at most 1024 visible US-ASCII characters are allowed" in caught.value.message
    service.check_custom_attributes(call, "x" * 1024)
    service.check_custom_attributes(call, None)
