"""Tokens from a SageMaker endpoint, one by one."""

import json

import boto3

runtime = boto3.client("sagemaker-runtime")
body = {"inputs": "What is time to first token?", "parameters": {"max_new_tokens": 100}, "stream": True}
answer = runtime.invoke_endpoint_with_response_stream(
    EndpointName="assistant", ContentType="application/json", Body=json.dumps(body)
)
for event in answer["Body"]:
    token = json.loads(event["PayloadPart"]["Bytes"].removeprefix(b"data:"))["token"]
    if not token["special"]:
        print(token["text"], end="", flush=True)
print()
