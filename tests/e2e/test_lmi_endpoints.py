"""Code written for LMI's containers runs unchanged: boto3 and langchain against endpoints of a site."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.contract.clients.environment import Conversation
from tests.e2e.test_streaming import LineReader
from tests.support.site import Site

LMI = "763104351884.dkr.ecr.us-east-1.amazonaws.com/djl-inference:"
LINES = {
    "image": f"{LMI}0.23.0-deepspeed0.9.5-cu118",
    "asked": {"OPTION_MODEL_ID": "tiiuae/falcon-7b-instruct", "OPTION_OUTPUT_FORMATTER": "jsonlines"},
}
PIECES = {
    "image": f"{LMI}0.25.0-deepspeed0.11.0-cu118",
    "asked": {"OPTION_MODEL_ID": "meta-llama/Llama-2-13b-chat-hf", "OPTION_ROLLING_BATCH": "lmi-dist"},
}
ASK = {"inputs": "What is a token?", "parameters": {"max_new_tokens": 24}}
HEAD, END = b'{"generated_text": "', b'"}'
WAITING = {"Delay": 1, "MaxAttempts": 90}


@pytest.fixture(scope="module")
def endpoints(site: Site) -> Iterator[tuple[str, str]]:
    """One that answers in lines of outputs, and one that answers in pieces of a document."""
    sagemaker = site.client("sagemaker")
    names = ("lmi-lines", "lmi-pieces")
    for name, wanted in zip(names, (LINES, PIECES), strict=True):
        sagemaker.create_model(
            ModelName=name,
            PrimaryContainer={"Image": wanted["image"], "Environment": wanted["asked"]},
            ExecutionRoleArn="arn:aws:iam::111122223333:role/service-role/sagemaker",
        )
        variant = {"VariantName": "variant1", "ModelName": name, "InitialInstanceCount": 1}
        sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[variant | {"InstanceType": "ml.g5.12xlarge"}]
        )
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    for name in names:
        sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=WAITING)
    yield names
    for name in names:
        sagemaker.delete_endpoint(EndpointName=name)
        sagemaker.delete_endpoint_config(EndpointConfigName=name)
        sagemaker.delete_model(ModelName=name)


@pytest.fixture(scope="module")
def langchain(site: Site) -> Iterator[Conversation]:
    conversation = Conversation("try_langchain_aws", "langchain_aws", site.environment())
    yield conversation
    conversation.close()


@pytest.fixture(scope="module")
def lines(endpoints: tuple[str, str]) -> str:
    return endpoints[0]


@pytest.fixture(scope="module")
def pieces(endpoints: tuple[str, str]) -> str:
    return endpoints[1]


@pytest.fixture(scope="module")
def runtime(site: Site) -> Any:
    return site.client("sagemaker-runtime")


def streamed(runtime: Any, endpoint: str) -> Any:
    return runtime.invoke_endpoint_with_response_stream(
        EndpointName=endpoint, Body=json.dumps(ASK), ContentType="application/json"
    )


def whole(runtime: Any, endpoint: str, **more: Any) -> bytes:
    answer = runtime.invoke_endpoint(
        EndpointName=endpoint, Body=json.dumps(ASK | more), ContentType="application/json"
    )
    return bytes(answer["Body"].read())


def test_the_posts_line_iterator_prints_the_tokens_as_they_come(site: Site, runtime: Any, lines: str):
    answer = streamed(runtime, lines)
    assert answer["ContentType"] == "application/jsonlines"
    said = [json.loads(line)["outputs"][0] for line in LineReader(answer["Body"])]
    assert len(said) > 1
    assert "".join(said).strip()
    (replica,) = site.replicas(lines)
    assert (replica["persona"], replica["version"]) == ("lmi", "0.23.0")
    assert (replica["requested_model"], replica["model"]) == ("tiiuae/falcon-7b-instruct", "builtin")


def test_each_payload_part_holds_one_line(runtime: Any, lines: str):
    parts = [event["PayloadPart"]["Bytes"] for event in streamed(runtime, lines)["Body"]]
    assert len(parts) > 1
    assert all(part.startswith(b'{"outputs": ["') and part.find(b"\n") == len(part) - 1 for part in parts)


def test_the_samples_client_of_a_document_in_pieces_sees_whole_pieces(runtime: Any, pieces: str):
    answer = streamed(runtime, pieces)
    assert answer["ContentType"] == "application/json"
    first, *said, last = [event["PayloadPart"]["Bytes"] for event in answer["Body"]]
    assert (first, last) == (HEAD, END)
    assert len(said) > 1
    # None splits an escape or a character: each is the inside of a JSON string, and readable by itself.
    text = "".join(json.loads(f'"{part.decode()}"') for part in said)
    assert text == json.loads(whole(runtime, pieces))["generated_text"]


def test_a_whole_answer_is_the_streams_bytes(runtime: Any, lines: str, pieces: str):
    for endpoint in (lines, pieces):
        parts = [event["PayloadPart"]["Bytes"] for event in streamed(runtime, endpoint)["Body"]]
        assert whole(runtime, endpoint) == b"".join(parts)


def test_a_broken_rule_is_a_model_error_in_the_containers_words(runtime: Any, pieces: str):
    for call in (runtime.invoke_endpoint, runtime.invoke_endpoint_with_response_stream):
        with pytest.raises(ClientError) as caught:
            call(EndpointName=pieces, Body=json.dumps(ASK | {"parameters": {"temperature": -1}}))
        told = caught.value.response
        assert (told["Error"]["Code"], told["OriginalStatusCode"]) == ("ModelError", 424)
        assert "temperature" in json.loads(told["OriginalMessage"])["error"]


async def test_langchain_streams_from_an_endpoint(langchain: Conversation, runtime: Any, lines: str):
    said = await langchain.ask("streaming", "pieces", lines)
    assert len(said["came"]) > 1
    wanted = "".join(json.loads(line)["outputs"][0] for line in whole(runtime, lines).splitlines())
    assert "".join(said["came"]) == wanted
    assert await langchain.ask("streaming", "whole", lines) == {"came": wanted}
    assert await langchain.ask("streaming", "stops", lines) == {"came": wanted.replace("token", "")}


async def test_langchain_gets_whole_answers(langchain: Conversation, runtime: Any, lines: str, pieces: str):
    document = json.loads(whole(runtime, pieces))["generated_text"]
    assert await langchain.ask("whole", "document", pieces) == {"came": document}
    assert await langchain.ask("whole", "lines", lines) == {"came": document}


@pytest.mark.parametrize("client", ["streaming", "whole"])
async def test_langchain_is_told_of_a_broken_rule(langchain: Conversation, lines: str, client: str):
    said = await langchain.ask(client, "wrong", lines)
    assert said["raised"] == "ModelError"
    assert "temperature" in said["words"]
