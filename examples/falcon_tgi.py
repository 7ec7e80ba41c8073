"""Falcon behind TGI with the SageMaker SDK (`pip install 'sagemaker<3'`): whole answers and streams.

Source `nearstream env` first. To run it on a laptop, start the site with
`--alias 'tiiuae/falcon-7b-instruct=builtin'`.
"""

import json
from collections.abc import Iterable, Iterator

import boto3
import sagemaker
from sagemaker.base_deserializers import StreamDeserializer
from sagemaker.huggingface import HuggingFaceModel, get_huggingface_llm_image_uri

session = sagemaker.Session()
name = sagemaker.utils.name_from_base("tgi-model-falcon-7b")
model = HuggingFaceModel(
    role=sagemaker.get_execution_role(),
    image_uri=get_huggingface_llm_image_uri("huggingface", version="0.9.3"),
    env={
        "HF_MODEL_ID": "tiiuae/falcon-7b-instruct",
        "SM_NUM_GPUS": "1",
        "MAX_INPUT_LENGTH": "1900",
        "MAX_TOTAL_TOKENS": "2048",
    },
)
predictor = model.deploy(
    initial_instance_count=1,
    instance_type="ml.g5.2xlarge",
    container_startup_health_check_timeout=300,
    endpoint_name=name,
)

whole = predictor.predict({"inputs": "tell me one sentence", "parameters": {"max_new_tokens": 20}})
print(whole[0]["generated_text"])

body = {
    "inputs": "tell me one sentence",
    "parameters": {"max_new_tokens": 60, "return_full_text": False},
    "stream": True,
}


def show(lines: Iterable[bytes]) -> None:
    """Print the text of TGI's events."""
    for line in lines:
        if line.startswith(b"data:"):
            token = json.loads(line.removeprefix(b"data:"))["token"]
            print("" if token["special"] else token["text"], end="", flush=True)
    print()


def lines_of(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a stream, whose parts may end anywhere."""
    rest = b""
    for part in parts:
        *whole_lines, rest = (rest + part).split(b"\n")
        yield from whole_lines


runtime = boto3.client("sagemaker-runtime")
answer = runtime.invoke_endpoint_with_response_stream(
    EndpointName=name, Body=json.dumps(body), ContentType="application/json"
)
show(lines_of(event["PayloadPart"]["Bytes"] for event in answer["Body"]))

# The same through the SDK: once as a body to read, once as the parts of its own stream.
predictor.deserializer = StreamDeserializer()
stream, content_type = predictor.predict(body)
print(content_type)
show(lines_of(stream))
show(lines_of(part for part in predictor.predict_stream(body)))

predictor.delete_model()
predictor.delete_endpoint()
