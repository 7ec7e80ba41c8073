"""Llama 2 behind TGI with the SageMaker SDK (`pip install 'sagemaker<3'`): deploy, stream a mail, clean up.

Source `nearstream env` first, and start the site with `--alias 'meta-llama/*=builtin'` to run it on a laptop.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import boto3
import sagemaker
from sagemaker.huggingface import HuggingFaceModel, get_huggingface_llm_image_uri

session = sagemaker.Session()
name = sagemaker.utils.name_from_base("llama-2-13b-chat-tgi")

model = HuggingFaceModel(
    role=sagemaker.get_execution_role(),
    image_uri=get_huggingface_llm_image_uri("huggingface", version="1.0.3"),
    env={
        "HF_MODEL_ID": "meta-llama/Llama-2-13b-chat-hf",
        "SM_NUM_GPUS": json.dumps(4),
        "MAX_INPUT_LENGTH": json.dumps(2048),
        "MAX_TOTAL_TOKENS": json.dumps(4096),
        "MAX_BATCH_TOTAL_TOKENS": json.dumps(8192),
    },
)
predictor = model.deploy(
    endpoint_name=name,
    initial_instance_count=1,
    instance_type="ml.g5.12xlarge",
    container_startup_health_check_timeout=300,
)

task = """AnyCompany has launched AnyCloud Internet Service. Write a short mail about it to Alice Smith
that ends with a call to action. The coupon EARLYB1RD takes 20 % off the first three months."""
prompt = f"<s>[INST] <<SYS>>\nYou write mails for a marketing team.\n<</SYS>>\n\n{task} [/INST]"
payload = {
    "inputs": prompt,
    "parameters": {
        "do_sample": True,
        "top_p": 0.6,
        "temperature": 0.9,
        "top_k": 50,
        "max_new_tokens": 60,
        "repetition_penalty": 1.03,
        "stop": ["</s>"],
        "return_full_text": False,
    },
    "stream": True,
}


def lines(event_stream: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """The lines of a streamed answer, however its parts are cut."""
    rest = b""
    for event in event_stream:
        *whole, rest = (rest + event["PayloadPart"]["Bytes"]).split(b"\n")
        yield from whole


answer = boto3.client("sagemaker-runtime").invoke_endpoint_with_response_stream(
    EndpointName=name,
    Body=json.dumps(payload),
    ContentType="application/json",
    CustomAttributes="accept_eula=true",
)
for line in lines(answer["Body"]):
    if line.startswith(b"data:"):
        token = json.loads(line.removeprefix(b"data:"))["token"]
        print("" if token["special"] else token["text"], end="", flush=True)
print()

predictor.delete_model()
predictor.delete_endpoint()
