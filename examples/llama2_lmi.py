"""Llama 2 behind the LMI container with the SageMaker SDK (`pip install 'sagemaker<3'`) and boto3.

Uploads serving.properties as model.tar.gz, deploys, streams, and removes everything, its objects too. An
argument is a folder with a model, which is uploaded and served instead of the one of the hub. Source
`nearstream env` first. To run it on a laptop, start the site with `--alias 'meta-llama/*=builtin'`.
"""

import codecs
import io
import json
import sys
import tarfile
import tempfile
from pathlib import Path

import boto3
import sagemaker
from sagemaker.utils import name_from_base

session = sagemaker.Session()
bucket, prefix = session.default_bucket(), name_from_base("llama-2-13b-chat-lmi")
hosting = boto3.client("sagemaker")

if len(sys.argv) > 1:
    model_id = session.upload_data(sys.argv[1], bucket, f"{prefix}/model") + "/"
else:
    model_id = "meta-llama/Llama-2-13b-chat-hf"

properties = f"""engine = MPI
option.entryPoint=djl_python.huggingface
option.tensor_parallel_degree=4
option.low_cpu_mem_usage=TRUE
option.rolling_batch=lmi-dist
option.max_rolling_batch_size=64
option.model_loading_timeout=900
option.model_id={model_id}
option.paged_attention=true
""".encode()

with tempfile.TemporaryDirectory() as folder:
    archive = Path(folder) / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        about = tarfile.TarInfo("chat_llama2_13b_hf/serving.properties")
        about.size = len(properties)
        tar.addfile(about, io.BytesIO(properties))
    artifact = session.upload_data(str(archive), bucket, f"{prefix}/code")

image = sagemaker.image_uris.retrieve("djl-deepspeed", session.boto_region_name, version="0.25.0")
model = name_from_base("Llama-2-13b-chat-lmi-streaming")
endpoint = name_from_base(model)
hosting.create_model(
    ModelName=model,
    ExecutionRoleArn=sagemaker.get_execution_role(),
    PrimaryContainer={
        "Image": image,
        "ModelDataUrl": artifact,
        "Environment": {"MODEL_LOADING_TIMEOUT": "3600"},
    },
)
hosting.create_endpoint_config(
    EndpointConfigName=f"{model}-config",
    ProductionVariants=[
        {
            "VariantName": "variant1",
            "ModelName": model,
            "InstanceType": "ml.g5.12xlarge",
            "InitialInstanceCount": 1,
            "ModelDataDownloadTimeoutInSeconds": 3600,
            "ContainerStartupHealthCheckTimeoutInSeconds": 3600,
        }
    ],
)
hosting.create_endpoint(EndpointName=endpoint, EndpointConfigName=f"{model}-config")
hosting.get_waiter("endpoint_in_service").wait(EndpointName=endpoint, WaiterConfig={"Delay": 1})

prompt = "<s>[INST] Write a short mail that offers AnyCloud Streaming Service to Alice Smith. [/INST]"
payload = {
    "inputs": prompt,
    "parameters": {"do_sample": True, "top_p": 0.6, "temperature": 0.9, "top_k": 50, "max_new_tokens": 60},
}
answer = boto3.client("sagemaker-runtime").invoke_endpoint_with_response_stream(
    EndpointName=endpoint, Body=json.dumps(payload), ContentType="application/json"
)
# This release streams one JSON document in pieces; a character may be cut anywhere.
text = codecs.getincrementaldecoder("utf-8")()
document = ""
for event in answer["Body"]:
    piece = text.decode(event["PayloadPart"]["Bytes"])
    document += piece
    print(piece, end="", flush=True)
print()
print(len(json.loads(document)["generated_text"]), "characters")

config = hosting.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
variants = hosting.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
hosting.delete_endpoint(EndpointName=endpoint)
hosting.delete_endpoint_config(EndpointConfigName=config)
hosting.delete_model(ModelName=variants[0]["ModelName"])
boto3.resource("s3").Bucket(bucket).objects.filter(Prefix=prefix).delete()
