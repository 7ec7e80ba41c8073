"""The query and rest-xml protocols against botocore's own serialisers and parsers."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from botocore import parsers, serialize
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from nearstream.core.errors import Invalid
from nearstream.wire.aws import protocols, query, restxml, service
from nearstream.wire.aws.errors import AwsError, ErrorContext
from nearstream.wire.aws.signed_request import RawRequest

STS = service.load("sts", ["GetCallerIdentity", "AssumeRole"])
IAM = service.load("iam", ["GetRole", "ListRoles", "SimulatePrincipalPolicy", "DeleteRole"])
CLOUDWATCH = service.load("cloudwatch", ["PutMetricAlarm", "DescribeAlarms", "GetMetricData"])
RDS = service.load("rds", ["DescribeDBInstances"])
SNS = service.load("sns", ["CreateTopic", "Publish"])
ROUTE53 = service.load(
    "route53",
    [
        "ChangeResourceRecordSets",
        "CreateHostedZone",
        "ListHostedZones",
        "GetHostedZone",
        "ChangeTagsForResource",
    ],
)  # fmt: skip
S3 = service.load("s3", ["PutBucketTagging", "DeleteObjects", "ListObjectsV2"])
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def read_query(description, operation, **members):
    """A call as boto3 puts it on the wire, and as it is read."""
    serializer = serialize.create_serializer("query", include_validation=False)
    sent = serializer.serialize_to_request(members, description.operation(operation))
    request = RawRequest("POST", "/", "", tuple(sent["headers"].items()), urlencode(sent["body"]).encode())
    assert protocols.spoken(request, description.protocols) == "query"
    call = query.parse(description, request)
    assert call.operation == operation
    return call.document


def read_xml(description, operation, **members):
    serializer = serialize.create_serializer("rest-xml", include_validation=False)
    sent = serializer.serialize_to_request(members, description.operation(operation))
    path, _, fixed = sent["url_path"].partition("?")
    text = "&".join(filter(None, (fixed, urlencode(sent["query_string"], doseq=True))))
    body = sent["body"] if isinstance(sent["body"], bytes) else sent["body"].encode()
    call = restxml.parse(description, RawRequest(sent["method"], path, text, (), body))
    assert call.operation == operation
    return call.document


def parsed_back(description, protocol, operation, answer):
    response = {"status_code": answer.status, "headers": CIMultiDict(answer.headers), "body": answer.body}
    shape = description.operation(operation).output_shape
    result = parsers.create_parser(protocol).parse(response, shape)
    result.pop("ResponseMetadata")
    return result


def test_a_form_is_read_with_its_lists_maps_and_structures():
    tags = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}]
    members = {"RoleArn": "arn:aws:iam::000000000000:role/r", "RoleSessionName": "me", "DurationSeconds": 900}
    assert read_query(STS, "AssumeRole", **members, Tags=tags) == {**members, "Tags": tags}
    assert read_query(STS, "GetCallerIdentity") == {}
    attributes = {"DisplayName": "d é", "x": "a&b=c"}
    assert read_query(SNS, "CreateTopic", Name="t", Attributes=attributes)["Attributes"] == attributes


def test_a_form_has_its_members_types():
    alarm = {
        "AlarmName": "a",
        "ComparisonOperator": "GreaterThanThreshold",
        "EvaluationPeriods": 2,
        "Threshold": 0.5,
        "ActionsEnabled": False,
        "Dimensions": [{"Name": "EndpointName", "Value": "e"}, {"Name": "VariantName", "Value": "v"}],
        "AlarmActions": [],
    }
    assert read_query(CLOUDWATCH, "PutMetricAlarm", **alarm) == alarm
    filters = [{"Name": "engine", "Values": ["a", "b"]}]
    assert read_query(RDS, "DescribeDBInstances", Filters=filters, MaxRecords=20)["Filters"] == filters
    metrics = [{"Id": "m1", "Expression": "x"}]
    data = read_query(CLOUDWATCH, "GetMetricData", MetricDataQueries=metrics, StartTime=AT, EndTime=AT)
    assert (data["StartTime"], data["MetricDataQueries"]) == (AT.timestamp(), metrics)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "UnknownOperationException"),
        (b"Action=", "UnknownOperationException"),
        (b"Action=Nothing", "UnknownOperationException"),
        (b"Action=AssumeRole&Tags=x", "MalformedInput"),
        (b"Action=AssumeRole&RoleArn.a=x", "MalformedInput"),
        (b"Action=AssumeRole&Tags.member.1=x&Tags.member.1.Key=y", "MalformedQueryString"),
        (b"Action=AssumeRole&DurationSeconds=0_9", "SerializationException"),
        (b"Action=AssumeRole&" + b"&".join(b"a.%d=" % n for n in range(10_001)), "MalformedQueryString"),
    ],
)
def test_a_form_that_cannot_be_read_is_refused(body, code):
    with pytest.raises(AwsError) as caught:
        query.parse(STS, RawRequest("POST", "/", "", (), body))
    assert caught.value.code == code


def test_a_forms_members_are_held_to_their_shapes():
    with pytest.raises(Invalid, match="at 'roleArn'"):
        read_query(STS, "AssumeRole", RoleArn="x", RoleSessionName="s")


@given(st.text(alphabet="AM.ction=&member1Tags%+", max_size=60))
def test_any_form_is_read_or_refused(text):
    with suppress(AwsError, Invalid):
        query.parse(STS, RawRequest("POST", "/", "", (), b"Action=AssumeRole&" + text.encode()))


def test_a_query_answer_is_read_back():
    role = {
        "Path": "/",
        "RoleName": "r <&>",
        "RoleId": "AROA",
        "Arn": "arn:aws:iam::000000000000:role/r",
        "CreateDate": AT,
        "Tags": [{"Key": "a", "Value": "é"}],
    }
    output = {"Role": {**role, "CreateDate": AT.timestamp(), "NotOfThisShape": 1}}
    answer = query.answer(IAM, "GetRole", output, request_id="r-1")
    assert answer.headers == {"Content-Type": "text/xml", "x-amzn-RequestId": "r-1"}
    assert parsed_back(IAM, "query", "GetRole", answer) == {"Role": role}
    listed = query.answer(IAM, "ListRoles", {"Roles": [], "IsTruncated": False}, request_id="r")
    assert parsed_back(IAM, "query", "ListRoles", listed) == {"Roles": [], "IsTruncated": False}
    nothing = query.answer(IAM, "DeleteRole", {}, request_id="r-2")
    assert b"<DeleteRoleResponse" in nothing.body and b"<RequestId>r-2</RequestId>" in nothing.body


def test_an_xml_body_and_its_path_are_read():
    change = {
        "Action": "UPSERT",
        "ResourceRecordSet": {
            "Name": "a.example.",
            "Type": "A",
            "TTL": 60,
            "ResourceRecords": [{"Value": "10.0.0.1"}, {"Value": "10.0.0.2"}],
        },
    }
    batch = {"Comment": "<&> é", "Changes": [change, {**change, "Action": "DELETE"}]}
    assert read_xml(ROUTE53, "ChangeResourceRecordSets", HostedZoneId="Z1", ChangeBatch=batch) == {
        "HostedZoneId": "Z1",
        "ChangeBatch": batch,
    }
    assert read_xml(ROUTE53, "ListHostedZones", MaxItems="5") == {"MaxItems": "5"}
    tags = [{"Key": "a", "Value": "b"}]
    read = read_xml(ROUTE53, "ChangeTagsForResource", ResourceType="hostedzone", ResourceId="Z", AddTags=tags)
    assert read["AddTags"] == tags


def test_flattened_lists_of_an_xml_body_are_read():
    objects = {"Objects": [{"Key": "a"}, {"Key": "b/c"}], "Quiet": True}
    assert read_xml(S3, "DeleteObjects", Bucket="b", Delete=objects)["Delete"] == objects


@pytest.mark.parametrize(
    "body",
    [
        b"<",
        b"{}",
        b'<!DOCTYPE a [<!ENTITY b "c">]><CreateHostedZoneRequest>&b;</CreateHostedZoneRequest>',
        b"<CreateHostedZoneRequest>",
    ],
)
def test_xml_that_cannot_be_read_is_refused(body):
    with pytest.raises(AwsError) as caught:
        restxml.parse(ROUTE53, RawRequest("POST", "/2013-04-01/hostedzone", "", (), body))
    assert (caught.value.code, caught.value.status) == ("MalformedXML", 400)


def test_an_xml_answer_is_read_back():
    zone = {"Id": "/hostedzone/Z1", "Name": "a.example.", "CallerReference": "r"}
    output = {"HostedZone": zone, "DelegationSet": {"NameServers": ["ns1", "ns2"]}}
    answer = restxml.answer(ROUTE53, "GetHostedZone", output, request_id="r")
    assert parsed_back(ROUTE53, "rest-xml", "GetHostedZone", answer) == output
    info = {"Id": "C1", "Status": "INSYNC", "SubmittedAt": AT}
    created = restxml.answer(
        ROUTE53,
        "CreateHostedZone",
        {**output, "ChangeInfo": {**info, "SubmittedAt": AT.timestamp()}, "Location": "https://x/Z1"},
        request_id="r",
    )
    assert (created.status, created.headers["Location"]) == (201, "https://x/Z1")
    assert parsed_back(ROUTE53, "rest-xml", "CreateHostedZone", created)["ChangeInfo"] == info
    keys = {"Contents": [{"Key": "a", "Size": 1}, {"Key": "b"}], "Name": "b", "IsTruncated": False}
    listed = restxml.answer(S3, "ListObjectsV2", keys, request_id="r")
    assert parsed_back(S3, "rest-xml", "ListObjectsV2", listed) == keys


@pytest.mark.parametrize("protocol", ["query", "ec2", "rest-xml", "json", "rest-json", "smithy-rpc-v2-cbor"])
def test_an_error_is_read_back_in_every_protocol(protocol):
    error = AwsError("NoSuchEntity", "The role <r> é is not there. " + "x" * 300, 404)
    answer = protocols.failure(protocol, error, ErrorContext("r-1", namespace="https://n/"))
    response = {"status_code": answer.status, "headers": CIMultiDict(answer.headers), "body": answer.body}
    parsed = parsers.create_parser(protocol).parse(response, None)
    assert (parsed["Error"]["Code"], parsed["Error"]["Message"]) == ("NoSuchEntity", error.message)
    assert parsed["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert "r-1" in json.dumps(dict(parsed["ResponseMetadata"]), default=dict)


def test_a_modelled_error_has_the_status_of_its_model():
    assert IAM.statuses["NoSuchEntity"] == 404
    assert STS.statuses["ExpiredTokenException"] == 400
