"""Calls of AWS services that are not served, by the clients of every protocol."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import boto3
import pytest
from aiohttp import web
from botocore.config import Config
from botocore.exceptions import ClientError
from structlog.testing import capture_logs

from nearstream.core.accounts import Account
from nearstream.fleet.pool import Pool
from nearstream.frontdoor.access import Access
from nearstream.frontdoor.api import Api, served
from nearstream.frontdoor.door import FrontDoor
from nearstream.frontdoor.metrics import FrontDoorMetrics
from nearstream.frontdoor.view import SiteView
from nearstream.services.runtime import service as runtime
from nearstream.services.sagemaker import service as sagemaker
from nearstream.wire.aws.credentials import Credential
from nearstream.wire.aws.sigv4 import Verifier

ACCOUNT = Account("123456789012", "us-east-1")
KEY = Credential("AKIATEST", "secret", ACCOUNT.id)
STRANGER = Credential("AKIAELSE", "else", "")
SCOPE = "AKIATEST/20260101/us-east-1/sagemaker/aws4_request"
TOPIC = "arn:aws:sns:us-east-1:123456789012:t"


async def unreachable(*_: object) -> web.StreamResponse:
    raise AssertionError


@pytest.fixture
async def url() -> AsyncIterator[str]:
    access = Access(Verifier({KEY.access_key: KEY}.get, region=ACCOUNT.region), time.time)
    rows = [served(sagemaker.service(None, ACCOUNT, time.time)), served(runtime.SERVICE, relay=unreachable)]
    view = SiteView(Pool(random=lambda: 0.0, clock=time.time), ACCOUNT, "", "0", "objects")
    door = FrontDoor(api=Api(rows, access), access=access, view=view, metrics=FrontDoorMetrics())
    runner = web.ServerRunner(web.Server(door.handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield "http://{}:{}".format(*runner.addresses[0])
    await runner.cleanup()


async def refused(
    url: str, service: str, operation: str, *, key: Credential = STRANGER, **members: Any
) -> ClientError:
    """What boto3 raises."""

    def call() -> None:
        client = boto3.client(
            service,
            endpoint_url=url,
            region_name=ACCOUNT.region if key is KEY else "eu-north-1",
            aws_access_key_id=key.access_key,
            aws_secret_access_key=key.secret_key,
            config=Config(retries={"total_max_attempts": 1}, inject_host_prefix=False),
        )
        getattr(client, operation)(**members)

    with pytest.raises(ClientError) as caught:
        await asyncio.to_thread(call)
    return caught.value


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("dynamodb", "put_item", {"TableName": "t", "Item": {"a": {"S": "b"}}}),
    ("sqs", "create_queue", {"QueueName": "q"}),
    ("logs", "describe_log_groups", {}),
    ("cloudwatch", "list_metrics", {}),
    ("kinesis", "list_streams", {}),
    ("sns", "publish", {"TopicArn": TOPIC, "Message": "m"}),
    ("sts", "get_caller_identity", {}),
    ("iam", "get_role", {"RoleName": "r"}),
    ("rds", "describe_db_instances", {}),
    ("cloudformation", "list_stacks", {}),
    ("autoscaling", "describe_auto_scaling_groups", {}),
    ("ec2", "describe_instances", {}),
    ("route53", "list_hosted_zones", {}),
    ("cloudfront", "list_distributions", {}),
    ("lambda", "list_functions", {}),
    ("lambda", "invoke", {"FunctionName": "f", "Payload": b"x" * 1_000_000}),
    ("bedrock-runtime", "converse", {"modelId": "m", "messages": []}),
    ("eventbridgev2", "list_event_buses", {}),
    ("ses", "list_identities", {}),
    ("sesv2", "list_email_identities", {}),
    ("sagemaker-featurestore-runtime", "delete_record",
     {"FeatureGroupName": "g", "RecordIdentifierValueAsString": "r", "EventTime": "t"}),
    ("cognito-idp", "initiate_auth", {"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": "c"}),
]  # fmt: skip


@pytest.mark.parametrize(("service", "operation", "members"), CALLS, ids=[f"{s}-{o}" for s, o, _ in CALLS])
async def test_a_service_that_is_not_served_says_so_in_its_own_protocol(
    url: str, service: str, operation: str, members: dict[str, Any]
) -> None:
    error = await refused(url, service, operation, **members)
    told = error.response["Error"]
    assert told["Code"] == "UnknownOperationException"
    assert told["Message"] == (
        f"{service} is not served by nearstream, which serves sagemaker, sagemaker-runtime, s3."
    )
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400


async def test_an_operation_that_is_not_served_is_named_to_the_client_and_in_the_log(
    url: str,
) -> None:
    with capture_logs() as logs:
        control = await refused(url, "sagemaker", "list_training_jobs", key=KEY)
        data = await refused(url, "sagemaker-runtime", "invoke_endpoint_async", key=KEY, EndpointName="e")
    assert "'ListTrainingJobs', which only AWS answers" in str(control)
    assert "'InvokeEndpointAsync', which only AWS answers: endpoints answer at once" in str(data)
    assert {error.response["Error"]["Code"] for error in (control, data)} == {"UnknownOperationException"}
    assert [(line["event"], line["operation"]) for line in logs] == [
        ("operation not served", "ListTrainingJobs"),
        ("operation not served", "InvokeEndpointAsync"),
    ]


async def test_a_path_that_no_service_has_is_an_unknown_operation(url: str) -> None:
    headers = {"Authorization": f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host, Signature=0"}
    async with aiohttp.ClientSession(url) as session, session.post("/nowhere", headers=headers) as answer:
        assert answer.status == 404
        assert answer.headers["x-amzn-ErrorType"] == "UnknownOperationException"
        assert "POST /nowhere" in (await answer.json())["Message"]


@pytest.mark.parametrize(
    ("headers", "shape"),
    [
        ({"X-Amz-Target": "Nobody.Knows"}, b'{"__type": "MissingAuthenticationTokenException"'),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"<Code>MissingAuthenticationToken<"),
        ({"Content-Type": "application/json"}, b'{"Message":"Missing Authentication Token"}'),
    ],
)
async def test_an_unsigned_call_is_refused_in_the_protocol_that_it_is_in(
    url: str, headers: dict[str, str], shape: bytes
) -> None:
    async with aiohttp.ClientSession(url) as session, session.post("/", headers=headers) as answer:
        assert (answer.status, shape in await answer.read()) == (403, True)
