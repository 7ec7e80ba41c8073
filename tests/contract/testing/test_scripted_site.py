"""What a test can make a scripted site do, seen through boto3 and this project's own client."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

import nearstream
from nearstream.testing import ScriptedSite


def stream(site: ScriptedSite, prompt: str = "Hi", **parameters: Any) -> nearstream.TextStream:
    body = {"inputs": prompt, "parameters": {"max_new_tokens": 50, **parameters}, "stream": True}
    answer = site.boto3("sagemaker-runtime").invoke_endpoint_with_response_stream(
        EndpointName=site.endpoint, Body=json.dumps(body), ContentType="application/json"
    )
    return nearstream.iter_tokens(answer["Body"])


def test_answers_queue_and_the_last_one_is_repeated(sagemaker_site: ScriptedSite) -> None:
    sagemaker_site.answer("First.")
    sagemaker_site.answer("Second, with é and 😀.")
    found = [stream(sagemaker_site).read() for _ in range(3)]
    assert found == ["First.", "Second, with é and 😀.", "Second, with é and 😀."]


def test_an_answer_to_a_prompt_comes_whatever_is_queued(sagemaker_site: ScriptedSite) -> None:
    sagemaker_site.answer("It is sunny.", to="weather")
    sagemaker_site.answer("Queued.")
    assert stream(sagemaker_site, "What about the weather?").read() == "It is sunny."
    assert stream(sagemaker_site, "Something else").read() == "Queued."
    assert sagemaker_site.prompts == ("What about the weather?", "Something else")


def test_tokens_come_one_by_one_with_the_delays_that_were_asked_for(sagemaker_site: ScriptedSite) -> None:
    sagemaker_site.answer("one two three", ttft_s=0.2, between_tokens_s=0.1)
    started = time.perf_counter()
    times = [time.perf_counter() - started for _ in stream(sagemaker_site)]
    assert len(times) == 3
    assert times[0] > 0.2
    assert times[2] - times[0] > 0.15


def test_a_replica_that_fails_mid_stream_is_a_model_stream_error(sagemaker_site: ScriptedSite) -> None:
    sagemaker_site.answer("one two three", fail_after=2)
    with pytest.raises(nearstream.StreamFailed) as caught:
        stream(sagemaker_site).read()
    assert caught.value.code == "ModelStreamError"
    assert caught.value.text == "one two"
    assert isinstance(caught.value.__cause__, EventStreamError)
    sagemaker_site.answer("Well again.")
    assert stream(sagemaker_site).read() == "Well again."


def test_a_container_that_fails_mid_stream_says_so_in_its_own_event(sagemaker_site: ScriptedSite) -> None:
    sagemaker_site.answer("one two three", fail_after=1, failure="container")
    with pytest.raises(nearstream.StreamFailed) as caught:
        stream(sagemaker_site).read()
    assert (caught.value.code, caught.value.text) == ("generation", "one")


def test_a_container_that_fails_before_its_first_token_is_a_model_error(sagemaker_site: ScriptedSite) -> None:
    sagemaker_site.answer("never", fail_after=0, failure="container")
    with pytest.raises(ClientError) as caught:
        sagemaker_site.boto3("sagemaker-runtime").invoke_endpoint(
            EndpointName=sagemaker_site.endpoint, Body=b'{"inputs": "Hi"}', ContentType="application/json"
        )
    assert caught.value.response["Error"]["Code"] == "ModelError"


def test_throttled_calls_are_refused_and_retries_get_through(sagemaker_site: ScriptedSite) -> None:
    sagemaker_site.throttle(1)
    with pytest.raises(ClientError) as caught:
        stream(sagemaker_site)
    assert caught.value.response["Error"]["Code"] == "ThrottlingException"
    assert stream(sagemaker_site).read() == "This is a scripted answer."
    sagemaker_site.throttle(1)
    runtime = sagemaker_site.boto3("sagemaker-runtime", config=Config(retries={"total_max_attempts": 2}))
    answer = runtime.invoke_endpoint(EndpointName=sagemaker_site.endpoint, Body=b'{"inputs": "Hi"}')
    assert json.loads(answer["Body"].read())


def test_a_call_with_a_wrong_key_is_refused(sagemaker_site: ScriptedSite) -> None:
    runtime = boto3.client(
        "sagemaker-runtime",
        endpoint_url=sagemaker_site.url,
        region_name="us-east-1",
        aws_access_key_id=sagemaker_site.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key="wrong",
    )
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        runtime.invoke_endpoint(EndpointName=sagemaker_site.endpoint, Body=b"{}")


def test_an_endpoint_of_several_replicas_spreads_calls(sagemaker_site: ScriptedSite) -> None:
    sagemaker_site.create_endpoint("several", replicas=3)
    described = sagemaker_site.boto3("sagemaker").describe_endpoint(EndpointName="several")
    assert described["EndpointStatus"] == "InService"
    assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 3
    sagemaker_site.answer("one two three", between_tokens_s=0.05)
    with nearstream.Client(sagemaker_site.target("several")) as client:
        streams = [client.stream("Hi") for _ in range(6)]
        assert [each.read() for each in streams] == ["one two three"] * 6


@pytest.fixture
def stale_session() -> Iterator[None]:
    """boto3's own, which has found the keys of something else."""
    boto3.setup_default_session(aws_access_key_id="AKIAELSE", aws_secret_access_key="else", region_name="x")
    yield
    boto3.DEFAULT_SESSION = None


@pytest.mark.usefixtures("stale_session")
def test_code_that_deploys_for_itself_runs(sagemaker_environment: ScriptedSite) -> None:
    sagemaker = boto3.client("sagemaker")
    image = (
        "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-tgi-inference:2.0.1-tgi0.9.3-gpu"
    )
    sagemaker.create_model(
        ModelName="mine",
        PrimaryContainer={"Image": image, "Environment": {"HF_MODEL_ID": "tiiuae/falcon-7b-instruct"}},
        ExecutionRoleArn="arn:aws:iam::123456789012:role/sagemaker",
    )
    variant = {"VariantName": "A", "ModelName": "mine", "InitialInstanceCount": 1}
    variant["InstanceType"] = "ml.g5.2xlarge"
    sagemaker.create_endpoint_config(EndpointConfigName="mine", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="mine", EndpointConfigName="mine")
    waiting = {"Delay": 0.05, "MaxAttempts": 100}
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="mine", WaiterConfig=waiting)
    with nearstream.Client(nearstream.SageMakerEndpoint.from_environment("mine")) as client:
        assert client.stream("Hi").read() == "This is a scripted answer."
    sagemaker.delete_endpoint(EndpointName="mine")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="mine", WaiterConfig=waiting)


@pytest.mark.parametrize("release", ["0.23.0", "0.25.0", "0.27.0", "0.36.0"])
def test_an_lmi_container_streams_in_the_form_of_its_release(
    sagemaker_site: ScriptedSite, release: str
) -> None:
    sagemaker_site.create_endpoint("lmi", lmi=release)
    sagemaker_site.answer("one two three")
    with nearstream.Client(sagemaker_site.target("lmi")) as client:
        assert client.stream("Hi").read() == "one two three"
        sagemaker_site.answer("one two three", fail_after=2)
        with pytest.raises(nearstream.StreamFailed, match="ModelStreamError") as caught:
            client.stream("Hi").read()
    assert caught.value.text == "one two"


def test_closing_a_stream_ends_the_call(sagemaker_site: ScriptedSite) -> None:
    sagemaker_site.answer("one two three four five", between_tokens_s=30)
    with nearstream.Client(sagemaker_site.target()) as client, client.stream("Hi") as answer:
        assert next(answer) == "one"
        started = time.perf_counter()
    assert time.perf_counter() - started < 5


async def test_it_serves_tests_that_are_coroutines(sagemaker_site: ScriptedSite) -> None:
    sagemaker_site.answer("Hello!")
    async with nearstream.AsyncClient(sagemaker_site.target()) as client:
        found = await asyncio.gather(*(client.chat("Hi").read() for _ in range(4)))
    assert found == ["Hello!"] * 4


def test_sites_at_the_same_time_do_not_meet() -> None:
    with ScriptedSite() as one, ScriptedSite() as other:
        one.answer("One.")
        other.answer("Other.")
        assert (stream(one).read(), stream(other).read()) == ("One.", "Other.")
        assert one.url != other.url


def test_nothing_is_left_when_it_is_closed() -> None:
    before = set(threading.enumerate())
    site = ScriptedSite()
    site.answer("one two three", between_tokens_s=30)
    answer = stream(site)
    assert next(answer) == "one"
    site.close()
    site.close()
    answer.close()
    assert set(threading.enumerate()) <= before
