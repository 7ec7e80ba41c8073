"""The main promise: boto3 code streams tokens from an endpoint on one machine."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.site import Site

TGI_093 = (
    "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-tgi-inference:"
    "2.0.1-tgi0.9.3-gpu-py39-cu118-ubuntu20.04"
)


def stream(client: Any, endpoint: str, **body: Any) -> list[bytes]:
    answer = client.invoke_endpoint_with_response_stream(
        EndpointName=endpoint, Body=json.dumps(body), ContentType="application/json"
    )
    return [event["PayloadPart"]["Bytes"] for event in answer["Body"]]


def test_the_first_answer_of_up_says_how_fast_it_was(site: Site) -> None:
    first = site.events[-1]["first_answer"]
    assert first["tokens"] > 1
    assert first["ttft_ms"] > 0
    assert first["text"].isprintable()


def test_each_payload_part_holds_one_event(site: Site) -> None:
    parts = stream(
        site.client("sagemaker-runtime"),
        "assistant",
        inputs="What is a token?",
        parameters={"max_new_tokens": 24, "return_full_text": False},
        stream=True,
    )
    assert len(parts) > 1
    for number, part in enumerate(parts, start=1):
        assert part.startswith(b"data:") and part.endswith(b"\n\n") and part.count(b"\n\n") == 1
        event = json.loads(part[5:])
        assert event["index"] == number
        assert set(event["token"]) == {"id", "text", "logprob", "special"}
    texts = "".join(json.loads(part[5:])["token"]["text"] for part in parts)
    last = json.loads(parts[-1][5:])
    assert texts.startswith(last["generated_text"])


def test_the_streams_content_type_is_the_containers(site: Site) -> None:
    answer = site.client("sagemaker-runtime").invoke_endpoint_with_response_stream(
        EndpointName="assistant",
        Body=json.dumps({"inputs": "Hi", "stream": True}),
        ContentType="application/json",
    )
    assert answer["ContentType"].startswith("text/event-stream")
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert sum(1 for _ in answer["Body"]) > 0


def test_a_whole_answer_comes_through_invoke_endpoint(site: Site) -> None:
    answer = site.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="assistant",
        Body=json.dumps({"inputs": "What is a token?", "parameters": {"max_new_tokens": 30}}),
        ContentType="application/json",
    )
    assert answer["ContentType"].startswith("application/json")
    document = json.loads(answer["Body"].read())
    document = document[0] if isinstance(document, list) else document
    assert document["generated_text"]


def test_bad_input_is_a_model_error_with_the_models_own_words(site: Site) -> None:
    with pytest.raises(ClientError) as caught:
        site.client("sagemaker-runtime").invoke_endpoint(
            EndpointName="assistant",
            Body=json.dumps({"inputs": "Hi", "parameters": {"temperature": -1}}),
            ContentType="application/json",
        )
    error = caught.value.response
    assert error["Error"]["Code"] == "ModelError"
    assert error["OriginalStatusCode"] == 422
    assert "`temperature` must be strictly positive" in error["OriginalMessage"]


def test_an_unknown_endpoint_is_named(site: Site) -> None:
    with pytest.raises(ClientError, match=r"Endpoint nobody of account \d{12} not found"):
        site.client("sagemaker-runtime").invoke_endpoint(EndpointName="nobody", Body=b"{}")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "InvalidSignatureException"),
        ({"AWS_ACCESS_KEY_ID": "AKIAWRONG"}, "UnrecognizedClientException"),
    ],
)
def test_a_wrong_key_is_refused(site: Site, changes: dict[str, str], code: str) -> None:
    with pytest.raises(ClientError) as caught:
        site.client("sagemaker-runtime", **changes).invoke_endpoint(EndpointName="assistant", Body=b"{}")
    assert caught.value.response["Error"]["Code"] == code
    with pytest.raises(ClientError) as caught:
        site.client("sagemaker", **changes).list_endpoints()
    assert caught.value.response["Error"]["Code"] == code


class LineReader:
    """Reads lines as chatbots in the field do; theirs spin for ever on a last line that is not ended."""

    def __init__(self, parts: Any) -> None:
        self.parts = iter(parts)
        self.held = io.BytesIO()
        self.read_to = 0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.held.seek(self.read_to)
            line = self.held.readline()
            if line.endswith(b"\n"):
                self.read_to += len(line)
                yield line[:-1]
                continue
            part = next(self.parts, None)
            if part is None:
                assert not line, f"the stream ended inside a line: {line!r}"
                return
            self.held.seek(0, io.SEEK_END)
            self.held.write(part["PayloadPart"]["Bytes"])


def test_code_written_for_falcon_on_tgi_runs_unchanged(site: Site) -> None:
    """An endpoint made with boto3 for a TGI 0.9.3 image, streamed by line, then deleted."""
    sagemaker, runtime = site.client("sagemaker"), site.client("sagemaker-runtime")
    name = "tgi-model-falcon-7b"
    environment = {
        "HF_MODEL_ID": "tiiuae/falcon-7b-instruct",
        "SM_NUM_GPUS": "1",
        "MAX_INPUT_LENGTH": "1900",
        "MAX_TOTAL_TOKENS": "2048",
    }
    sagemaker.create_model(
        ModelName=name,
        PrimaryContainer={"Image": TGI_093, "Environment": environment},
        ExecutionRoleArn="arn:aws:iam::111122223333:role/service-role/sagemaker",
    )
    sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[
            {
                "VariantName": "AllTraffic",
                "ModelName": name,
                "InitialInstanceCount": 1,
                "InstanceType": "ml.g5.2xlarge",
                "ContainerStartupHealthCheckTimeoutInSeconds": 300,
            }
        ],
    )
    created = sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert created["EndpointArn"].endswith(f":endpoint/{name}")
    waiting = {"Delay": 1, "MaxAttempts": 90}
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=waiting)

    body = {
        "inputs": "tell me one sentence",
        "parameters": {"max_new_tokens": 400, "return_full_text": False},
        "stream": True,
    }
    answer = runtime.invoke_endpoint_with_response_stream(
        EndpointName=name, Body=json.dumps(body), ContentType="application/json"
    )
    texts = []
    for line in LineReader(answer["Body"]):
        if line != b"" and b"{" in line:
            event = json.loads(line[line.find(b"{") :].decode())
            texts.append(event["token"]["text"])
    assert len(texts) > 1

    replica = site.replicas(name)[0]
    assert (replica["requested_model"], replica["model"]) == ("tiiuae/falcon-7b-instruct", "builtin")
    assert replica["persona"] == "tgi" and replica["version"] == "0.9.3"

    sagemaker.delete_endpoint(EndpointName=name)
    sagemaker.delete_endpoint_config(EndpointConfigName=name)
    sagemaker.delete_model(ModelName=name)
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig=waiting)
