"""The protocols against botocore's own serialisers and parsers."""

import base64
import json
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from botocore import parsers, serialize
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from nearstream.core.errors import Invalid
from nearstream.wire.aws import jsonrpc, restjson, serialise, service
from nearstream.wire.aws.errors import AwsError, ErrorContext
from nearstream.wire.aws.service import Call
from nearstream.wire.aws.signed_request import RawRequest

SAGEMAKER = service.load("sagemaker", ["CreateModel", "DescribeModel", "ListEndpoints", "DeleteModel"])
LAMBDA = service.load("lambda", ["Invoke", "ListFunctions", "GetFunction", "TagResource", "UntagResource"])
LOGS = service.load("logs", ["GetLogEvents", "PutLogEvents"])
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


EVERYTHING = {
    "type": "structure",
    "members": {
        "Id": {"shape": "Text", "location": "uri", "locationName": "id"},
        "Path": {"shape": "Text", "location": "uri", "locationName": "path"},
        "Since": {"shape": "Time", "location": "header", "locationName": "X-Since"},
        "Dry": {"shape": "Flag", "location": "header", "locationName": "X-Dry"},
        "Ratio": {"shape": "Ratio", "location": "querystring", "locationName": "ratio"},
        "Until": {"shape": "Time", "location": "querystring", "locationName": "until"},
        "Meta": {"shape": "Meta", "location": "headers", "locationName": "X-Meta-"},
        "Body": {"shape": "Body"},
    },
    "payload": "Body",
}
SHAPES = {
    "Everything": EVERYTHING,
    "Nothing": {"type": "structure", "members": {}},
    "Body": {
        "type": "structure",
        "members": {
            "Bytes": {"shape": "Bytes"},
            "At": {"shape": "IsoTime", "locationName": "at"},
            "Sizes": {"shape": "Sizes"},
            "ByName": {"shape": "ByName"},
        },
    },
    "Text": {"type": "string"},
    "Bytes": {"type": "blob"},
    "Flag": {"type": "boolean"},
    "Ratio": {"type": "double"},
    "Time": {"type": "timestamp"},
    "IsoTime": {"type": "timestamp", "timestampFormat": "iso8601"},
    "Sizes": {"type": "list", "member": {"shape": "Ratio"}},
    "ByName": {"type": "map", "key": {"shape": "Text"}, "value": {"shape": "Ratio"}},
    "Meta": {"type": "map", "key": {"shape": "Text"}, "value": {"shape": "Text"}},
}
WHOLE = service.describe(
    "whole",
    {
        "metadata": {"protocol": "rest-json", "apiVersion": "1"},
        "operations": {
            "Put": {
                "name": "Put",
                "http": {"method": "PUT", "requestUri": "/v1/{id}/at/{path+}?fixed"},
                "input": {"shape": "Everything"},
                "output": {"shape": "Everything"},
            },
            "Ping": {"name": "Ping", "http": {"method": "GET", "requestUri": "/"}},
        },
        "shapes": SHAPES,
    },
)


def sent(description, protocol, operation, **members):
    """What boto3 would put on the wire for this call."""
    serializer = serialize.create_serializer(protocol, include_validation=False)
    return serializer.serialize_to_request(members, description.operation(operation))


def read_json(description, operation, **members):
    request = sent(description, "json", operation, **members)
    assert jsonrpc.operation_name(description, request["headers"]["X-Amz-Target"]) == operation
    return jsonrpc.parse_body(description, operation, request["body"])


def read_rest(description, operation, **members):
    request = sent(description, "rest-json", operation, **members)
    body = request["body"]
    path, _, fixed = request["url_path"].partition("?")
    call = restjson.parse(
        description,
        RawRequest(
            request["method"],
            path,
            "&".join(filter(None, (fixed, urlencode(request["query_string"], doseq=True)))),
            tuple(request["headers"].items()),
            body if isinstance(body, bytes) else body.encode(),
        ),
    )
    return call.operation, call.document


def parsed_back(description, protocol, operation, answer):
    """An answer as botocore reads it."""
    response = {"status_code": answer.status, "headers": CIMultiDict(answer.headers), "body": answer.body}
    parser = parsers.create_parser(protocol)
    result = parser.parse(response, description.operation(operation).output_shape)
    result.pop("ResponseMetadata")
    return result


def test_a_json_request_arrives_as_it_was_meant():
    assert read_json(SAGEMAKER, "ListEndpoints", CreationTimeAfter=AT, MaxResults=7) == {
        "CreationTimeAfter": AT.timestamp(),
        "MaxResults": 7,
    }


@given(st.dictionaries(st.from_regex(r"\A[a-zA-Z_][a-zA-Z0-9_]*\Z"), st.text(max_size=20), max_size=4))
def test_any_environment_survives_the_way_in(environment):
    container = {"Image": "i", "Environment": environment}
    assert read_json(SAGEMAKER, "CreateModel", ModelName="m", PrimaryContainer=container) == {
        "ModelName": "m",
        "PrimaryContainer": container,
    }


def test_members_of_a_json_service_go_by_their_wire_names():
    events = [{"timestamp": 1, "message": "m"}]
    read = read_json(LOGS, "PutLogEvents", logGroupName="g", logStreamName="s", logEvents=events)
    assert read["logEvents"] == events


def test_a_json_answer_is_read_back_with_its_times():
    output = {
        "ModelName": "m",
        "CreationTime": AT.timestamp() + 0.25,
        "ModelArn": "a",
        "PrimaryContainer": {"Image": "é", "ContainerHostname": None},
        "NotOfThisShape": 1,
    }
    answer = jsonrpc.answer(SAGEMAKER, "DescribeModel", output, request_id="r-1")
    assert answer.headers == {"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": "r-1"}
    assert parsed_back(SAGEMAKER, "json", "DescribeModel", answer) == {
        "ModelName": "m",
        "CreationTime": AT.replace(microsecond=250_000),
        "ModelArn": "a",
        "PrimaryContainer": {"Image": "é"},
    }


def test_an_operation_without_an_output_answers_nothing():
    assert jsonrpc.answer(SAGEMAKER, "DeleteModel", {}, request_id="r").body == b""


@pytest.mark.parametrize("target", ["", "SageMaker.", "SageMaker.Nothing", "Logs.CreateModel", "CreateModel"])
def test_an_unknown_target_is_an_unknown_operation(target):
    with pytest.raises(AwsError) as caught:
        jsonrpc.operation_name(SAGEMAKER, target)
    assert (caught.value.code, caught.value.status) == ("UnknownOperationException", 400)


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff", b'{"ModelName": "\\ud800"', b"[" * 5000])
def test_a_body_that_is_no_json_object_cannot_be_read(body):
    with pytest.raises(AwsError) as caught:
        jsonrpc.parse_body(SAGEMAKER, "DeleteModel", body)
    assert (caught.value.code, caught.value.status) == ("SerializationException", 400)


def test_an_empty_body_is_an_empty_input():
    assert jsonrpc.parse_body(SAGEMAKER, "ListEndpoints", b"") == {}


def test_errors_are_read_back_by_both_protocols():
    error = AwsError("ModelError", "it broke", 424, {"OriginalStatusCode": 500})
    for protocol, answer in (
        ("json", jsonrpc.failure(error, ErrorContext("r"))),
        ("rest-json", restjson.failure(error, ErrorContext("r"))),
    ):
        response = {"status_code": 424, "headers": CIMultiDict(answer.headers), "body": answer.body}
        parsed = parsers.create_parser(protocol).parse(response, None)
        assert parsed["Error"] == {"Code": "ModelError", "Message": "it broke"}
        assert json.loads(answer.body)["OriginalStatusCode"] == 500


def test_paths_headers_and_payload_of_a_rest_request_find_their_members():
    context = base64.b64encode(b"{}").decode()
    operation, read = read_rest(
        LAMBDA,
        "Invoke",
        FunctionName="function:b",
        InvocationType="Event",
        ClientContext=context,
        Payload=b"\x00\x01",
    )
    assert operation == "Invoke"
    assert read == {
        "FunctionName": "function:b",
        "InvocationType": "Event",
        "ClientContext": context,
        "Payload": b"\x00\x01",
    }


def test_the_query_of_a_rest_request_has_its_members_types():
    operation, read = read_rest(LAMBDA, "ListFunctions", MaxItems=5, Marker="a b&c")
    assert (operation, read) == ("ListFunctions", {"MaxItems": 5, "Marker": "a b&c"})
    arn = "arn:aws:lambda:eu-central-1:000000000000:function:f"
    assert read_rest(LAMBDA, "UntagResource", Resource=arn, TagKeys=["a", "b"])[1]["TagKeys"] == ["a", "b"]
    assert read_rest(LAMBDA, "TagResource", Resource=arn, Tags={"k": "v"})[1] == {
        "Resource": arn,
        "Tags": {"k": "v"},
    }


def test_every_place_and_type_of_a_rest_request_is_read():
    body = {"Bytes": b"\x00", "At": AT, "Sizes": [1.5], "ByName": {"a": 2.0}}
    operation, read = read_rest(
        WHOLE,
        "Put",
        Id="a/b",
        Path="c/d e",
        Since=AT,
        Dry=True,
        Ratio=0.5,
        Until=AT,
        Meta={"k": "v"},
        Body=body,
    )
    assert operation == "Put"
    assert read == {
        "Id": "a/b",
        "Path": "c/d e",
        "Since": AT.timestamp(),
        "Dry": True,
        "Ratio": 0.5,
        "Until": AT.timestamp(),
        "Meta": {"k": "v"},
        "Body": body | {"At": AT.timestamp()},
    }
    assert restjson.parse(WHOLE, RawRequest("GET", "/", "", (), b"")) == Call("Ping", {})


def test_every_place_and_type_of_a_rest_answer_is_read_back():
    body = {"Bytes": b"\x00", "At": AT.timestamp(), "Sizes": [1.5], "ByName": {"a": 2.0}}
    output = {"Since": AT.timestamp(), "Dry": False, "Body": body}
    answer = restjson.answer(WHOLE, "Put", output, request_id="r")
    assert answer.headers["X-Since"] == "Fri, 02 Jan 2026 03:04:05 GMT"
    assert parsed_back(WHOLE, "rest-json", "Put", answer) == {
        "Since": AT,
        "Dry": False,
        "Meta": {},
        "Body": body | {"At": AT},
    }
    assert restjson.answer(WHOLE, "Put", {}, request_id="r").body == b""


@pytest.mark.parametrize("body", [b'{"at": {}}', b'{"Sizes": [true]}', b'{"ByName": {"a": "b"}}', b"[]"])
def test_members_are_held_to_their_types_under_their_wire_names(body):
    with pytest.raises(AwsError) as caught:
        restjson.parse(WHOLE, RawRequest("PUT", "/v1/a/at/b", "fixed", (), body))
    assert caught.value.code == "SerializationException"


def test_a_blob_that_is_no_base64_is_refused():
    with pytest.raises(Invalid, match="base64"):
        restjson.parse(WHOLE, RawRequest("PUT", "/v1/a/at/b", "fixed", (), b'{"Bytes": "!"}'))


@pytest.mark.parametrize(
    ("method", "target", "body", "kind"),
    [
        ("GET", ("/2015-03-31/functions", "MaxItems=many"), b"", AwsError),
        ("GET", ("/2015-03-31/functions", "MaxItems=-1"), b"", Invalid),
        ("POST", ("/2017-03-31/tags/arn", ""), b"{", AwsError),
        ("PATCH", ("/2015-03-31/functions/", ""), b"", AwsError),
    ],
)
def test_a_rest_request_that_cannot_be_read_is_refused(method, target: tuple[str, str], body, kind):
    with pytest.raises(kind):
        restjson.parse(LAMBDA, RawRequest(method, *target, (), body))


def test_a_rest_answer_is_read_back():
    answer = restjson.answer(
        LAMBDA, "Invoke", {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": b"x"}, request_id="r"
    )
    assert answer.headers["X-Amz-Function-Error"] == "Unhandled"
    assert answer.body == b"x"
    listed = restjson.answer(LAMBDA, "ListFunctions", {"Functions": [{"MemorySize": 1}]}, request_id="r")
    assert parsed_back(LAMBDA, "rest-json", "ListFunctions", listed) == {"Functions": [{"MemorySize": 1}]}
    nothing = restjson.answer(LAMBDA, "TagResource", {}, request_id="r")
    assert (nothing.status, nothing.body) == (204, b"")


@pytest.mark.parametrize(
    "text",
    [str(AT.timestamp()), "2026-01-02T03:04:05Z", "2026-01-02T03:04:05", "Fri, 02 Jan 2026 03:04:05 GMT"],
)
def test_every_form_of_a_time_is_the_same_time(text):
    assert serialise.parse_timestamp(text) == AT.timestamp()


def test_a_time_that_is_none_is_refused():
    with pytest.raises(Invalid, match="'soon' is not a timestamp"):
        serialise.parse_timestamp("soon")


def test_only_the_shapes_of_the_wanted_operations_are_kept():
    assert len(SAGEMAKER.model.shape_names) < 100
    assert "CreateTrainingJob" in SAGEMAKER.all_operations
    with pytest.raises(AwsError, match="which only AWS answers"):
        SAGEMAKER.operation("CreateTrainingJob")
    with pytest.raises(AwsError, match="which does not exist"):
        SAGEMAKER.operation("CreateNothing")
