"""Falcon behind the LMI container with the SageMaker SDK (`pip install 'sagemaker<3'`): JSON lines, streamed.

Source `nearstream env` first. To run it on a laptop, start the site with
`--alias 'tiiuae/falcon-7b-instruct=builtin'`.
"""

import io
import json
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import boto3
import sagemaker
from sagemaker.model import Model

PROPERTIES = b"""engine=MPI
option.model_id=tiiuae/falcon-7b-instruct
option.trust_remote_code=true
option.tensor_parallel_degree=1
option.max_rolling_batch_size=32
option.rolling_batch=auto
option.output_formatter=jsonlines
option.paged_attention=false
option.enable_streaming=true
"""

session = sagemaker.Session()
name = sagemaker.utils.name_from_base("lmi-model-falcon-7b")
with tempfile.TemporaryDirectory() as folder:
    archive = Path(folder) / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        about = tarfile.TarInfo("serving.properties")
        about.size = len(PROPERTIES)
        tar.addfile(about, io.BytesIO(PROPERTIES))
    artifact = session.upload_data(str(archive), key_prefix=f"{name}/code")

model = Model(
    sagemaker_session=session,
    image_uri=sagemaker.image_uris.retrieve("djl-deepspeed", session.boto_region_name, version="0.23.0"),
    model_data=artifact,
    role=sagemaker.get_execution_role(),
)
model.deploy(
    initial_instance_count=1,
    instance_type="ml.g5.2xlarge",
    endpoint_name=name,
    container_startup_health_check_timeout=900,
)


class LineIterator:
    """The lines of an event stream, whose parts may end anywhere."""

    def __init__(self, event_stream: Iterable[dict[str, Any]]) -> None:
        self.parts = iter(event_stream)
        self.lines: list[bytes] = []
        self.rest = b""

    def __iter__(self) -> "LineIterator":
        return self

    def __next__(self) -> bytes:
        while not self.lines:
            part = next(self.parts)["PayloadPart"]["Bytes"]
            *self.lines, self.rest = (self.rest + part).split(b"\n")
        return self.lines.pop(0)


body = {"inputs": "what is life", "parameters": {"max_new_tokens": 60}}
answer = boto3.client("sagemaker-runtime").invoke_endpoint_with_response_stream(
    EndpointName=name, Body=json.dumps(body), ContentType="application/json"
)
for line in LineIterator(answer["Body"]):
    print(json.loads(line)["outputs"][0], end="", flush=True)
print()

session.delete_endpoint(name)
session.delete_endpoint_config(name)
model.delete_model()
