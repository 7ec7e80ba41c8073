"""Deploys a model the SageMaker way, streams from it, and takes it away again.

The image URI chooses the model server and its version, HF_MODEL_ID the model. Start the site with
`--alias 'tiiuae/falcon-7b-instruct=builtin'` to run this on a laptop.
"""

import json

import boto3

NAME = "falcon"
IMAGE = (
    "763104351884.dkr.ecr.us-east-1.amazonaws.com/"
    "huggingface-pytorch-tgi-inference:2.0.1-tgi1.0.3-gpu-py39-cu118-ubuntu20.04"
)

sagemaker = boto3.client("sagemaker")
runtime = boto3.client("sagemaker-runtime")

sagemaker.create_model(
    ModelName=NAME,
    PrimaryContainer={"Image": IMAGE, "Environment": {"HF_MODEL_ID": "tiiuae/falcon-7b-instruct"}},
    ExecutionRoleArn="arn:aws:iam::123456789012:role/sagemaker",
)
variant = {
    "VariantName": "AllTraffic",
    "ModelName": NAME,
    "InitialInstanceCount": 1,
    "InstanceType": "ml.g5.2xlarge",
}
sagemaker.create_endpoint_config(EndpointConfigName=NAME, ProductionVariants=[variant])
sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME)
sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=NAME, WaiterConfig={"Delay": 1})

body = {"inputs": "Tell me one sentence.", "parameters": {"max_new_tokens": 100}, "stream": True}
answer = runtime.invoke_endpoint_with_response_stream(
    EndpointName=NAME, ContentType="application/json", Body=json.dumps(body)
)
for event in answer["Body"]:
    print(
        json.loads(event["PayloadPart"]["Bytes"].removeprefix(b"data:"))["token"]["text"], end="", flush=True
    )
print()

sagemaker.delete_endpoint(EndpointName=NAME)
sagemaker.delete_endpoint_config(EndpointConfigName=NAME)
sagemaker.delete_model(ModelName=NAME)
