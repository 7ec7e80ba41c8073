"""Models packed for LMI's containers deploy with boto3 and stream, as the published examples have it."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_streaming import LineReader
from tests.support.site import Site, nearstream

from nearstream.models.builtin import builtin_path

IMAGES = "763104351884.dkr.ecr.us-east-1.amazonaws.com/djl-inference:"
LMI_023, LMI_025 = f"{IMAGES}0.23.0-deepspeed0.9.5-cu118", f"{IMAGES}0.25.0-deepspeed0.11.0-cu118"
LMI_036 = f"{IMAGES}0.36.0-lmi18.0.0-cu128"
BUCKET = "sagemaker-us-east-1-models"
FALCON = """
engine=MPI\x20
option.model_id=tiiuae/falcon-7b-instruct
option.trust_remote_code=true
option.tensor_parallel_degree=1
option.max_rolling_batch_size=32
option.rolling_batch=auto
option.output_formatter=jsonlines
option.paged_attention=false
option.enable_streaming=true
"""
LLAMA = """
engine = MPI
option.entryPoint=djl_python.huggingface
option.tensor_parallel_degree=4
option.low_cpu_mem_usage=TRUE
option.rolling_batch=lmi-dist
option.max_rolling_batch_size=64
option.model_loading_timeout=900
option.model_id=meta-llama/Llama-2-13b-chat-hf
option.paged_attention=true
"""
PROGRESSIVE = Path(__file__).parents[2] / "examples" / "progressive_image"
PACKED = ("model.py", "serving.properties")
WAITING = {"Delay": 1, "MaxAttempts": 90}
_SESSION = re.compile(r"[0-9a-f-]{36}; Expires=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def packed(files: dict[str, str | bytes], folder: str = "") -> bytes:
    """A model.tar.gz."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(folder + name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return made.getvalue()


@dataclass
class Deployment:
    """An endpoint of one model, made and unmade as the examples do."""

    site: Site
    name: str

    def __enter__(self) -> Deployment:
        return self

    def make(self, image: str, data: bytes | str, instances: int = 1, **environment: str) -> None:
        sagemaker = self.site.client("sagemaker")
        url = data if isinstance(data, str) else self.upload(data)
        sagemaker.create_model(
            ModelName=self.name,
            ExecutionRoleArn="arn:aws:iam::111122223333:role/service-role/sagemaker",
            PrimaryContainer={"Image": image, "ModelDataUrl": url, "Environment": environment},
        )
        variant = {
            "VariantName": "variant1",
            "ModelName": self.name,
            "InstanceType": "ml.g5.12xlarge",
            "InitialInstanceCount": instances,
            "ModelDataDownloadTimeoutInSeconds": 3600,
            "ContainerStartupHealthCheckTimeoutInSeconds": 3600,
        }
        sagemaker.create_endpoint_config(EndpointConfigName=self.name, ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=self.name, EndpointConfigName=self.name)

    def upload(self, data: bytes) -> str:
        s3, key = self.site.client("s3"), f"{self.name}/code/model.tar.gz"
        if BUCKET not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
            s3.create_bucket(Bucket=BUCKET)
        s3.upload_fileobj(io.BytesIO(data), BUCKET, key)
        return f"s3://{BUCKET}/{key}"

    def serve(self) -> None:
        sagemaker = self.site.client("sagemaker")
        sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=self.name, WaiterConfig=WAITING)

    def failure(self) -> str:
        """Why it did not come into service."""
        sagemaker = self.site.client("sagemaker")
        with pytest.raises(Exception, match="Failed"):
            sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=self.name, WaiterConfig=WAITING)
        reason: str = sagemaker.describe_endpoint(EndpointName=self.name)["FailureReason"]
        return reason

    def stream(self, **body: Any) -> Any:
        return self.site.client("sagemaker-runtime").invoke_endpoint_with_response_stream(
            EndpointName=self.name,
            Body=json.dumps(body),
            ContentType="application/json",
            CustomAttributes="accept_eula=false",
        )

    def invoke(self, body: object, **more: str) -> Any:
        return self.site.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=self.name, Body=json.dumps(body), ContentType="application/json", **more
        )

    def __exit__(self, *_: object) -> None:
        sagemaker = self.site.client("sagemaker")
        for delete, key in (
            (sagemaker.delete_endpoint, "EndpointName"),
            (sagemaker.delete_endpoint_config, "EndpointConfigName"),
            (sagemaker.delete_model, "ModelName"),
        ):
            delete(**{key: self.name})


@pytest.fixture(scope="module")
def plain_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site where every model is what it says."""
    running = Site(tmp_path_factory.mktemp("plain"))
    try:
        running.start()
        yield running
    finally:
        running.stop()


def test_falcon_in_lines_of_outputs(site: Site) -> None:
    with Deployment(site, "lmi-model-falcon-7b") as falcon:
        falcon.make(LMI_023, packed({"serving.properties": FALCON}, folder="mymodel/"))
        falcon.serve()
        answer = falcon.stream(inputs="what is life", parameters={"max_new_tokens": 40})
        assert answer["ContentType"] == "application/jsonlines"
        texts = [json.loads(line)["outputs"][0] for line in LineReader(answer["Body"])]
        assert 1 < len(texts) <= 40
        assert "".join(texts).strip().isprintable()


def test_llama_in_pieces_of_a_document(site: Site) -> None:
    with Deployment(site, "Llama-2-13b-chat-lmi-streaming") as llama:
        llama.make(LMI_025, packed({"serving.properties": LLAMA}), MODEL_LOADING_TIMEOUT="3600")
        llama.serve()
        sampled = {"do_sample": True, "top_p": 0.6, "temperature": 0.9, "top_k": 50, "max_new_tokens": 64}
        answer = llama.stream(inputs="Hi", parameters=sampled | {"return_full_text": False})
        parts = [event["PayloadPart"]["Bytes"] for event in answer["Body"]]
        assert (parts[0], parts[-1]) == (b'{"generated_text": "', b'"}')
        whole = json.loads(b"".join(parts))["generated_text"]
        assert whole == "".join(json.loads(b'"%b"' % part) for part in parts[1:-1])


def test_an_image_comes_in_parts_through_the_endpoint(plain_site: Site, tmp_path: Path) -> None:
    with Deployment(plain_site, "progressive-image") as image:
        image.make(LMI_025, packed({name: (PROGRESSIVE / name).read_bytes() for name in PACKED}))
        image.serve()
        told = subprocess.run(
            [sys.executable, PROGRESSIVE / "receive.py", image.name, tmp_path / "image.png"],
            env={**os.environ, **plain_site.environment()},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout.splitlines()
        assert re.search(r"bytes of image/png in \d+ parts$", told[-1])
        assert len(told) > 3
        png = (tmp_path / "image.png").read_bytes()
        assert png.startswith(b"\x89PNG\r\n\x1a\n") and png[12:16] == b"IHDR" and png[-8:-4] == b"IEND"
        data, at = b"", 8
        while at < len(png):
            size, kind = int.from_bytes(png[at : at + 4]), png[at + 4 : at + 8]
            body = png[at + 8 : at + 8 + size]
            assert zlib.crc32(kind + body) == int.from_bytes(png[at + 8 + size : at + 12 + size])
            data += body if kind == b"IDAT" else b""
            at += 12 + size
        assert len(zlib.decompress(data)) >= 320 * 240


def test_a_handler_that_cannot_start_fails_its_endpoint_with_the_reason(plain_site: Site) -> None:
    handler = "def handle(inputs):\n    return None\n"
    with Deployment(plain_site, "no-package") as endpoint:
        endpoint.make(LMI_025, packed({"model.py": handler, "requirements.txt": "./not-here.whl\n"}))
        assert "not-here.whl" in endpoint.failure()


def test_a_handler_that_fails_is_told_to_boto3_and_serves_on(plain_site: Site) -> None:
    handler = """
from djl_python import Output

def words():
    yield "one"
    raise ValueError("after the first")

def handle(inputs):
    if inputs.is_empty():
        return None
    if inputs.get_as_json() == "raise":
        raise ValueError("before the first")
    if inputs.get_as_json() == "half":
        return Output().add_property("content-type", "image/png").add_stream_content(words(), None)
    return Output().add_property("content-type", "application/jsonlines").add_stream_content(words())
"""
    runtime = plain_site.client("sagemaker-runtime")
    with Deployment(plain_site, "failing-handler") as endpoint:
        endpoint.make(LMI_025, packed({"model.py": handler}))
        endpoint.serve()
        with pytest.raises(runtime.exceptions.ClientError) as refused:
            endpoint.invoke("raise")
        assert refused.value.response["OriginalStatusCode"] == 424
        assert "before the first" in refused.value.response["OriginalMessage"]
        told = endpoint.invoke("lines")["Body"].read().splitlines()
        assert json.loads(told[-1]) == {"code": 424, "error": "after the first"}
        broken = runtime.invoke_endpoint_with_response_stream(
            EndpointName=endpoint.name, Body=json.dumps("half"), ContentType="application/json"
        )
        with pytest.raises(Exception, match="ModelStreamError"):
            list(broken["Body"])
        assert endpoint.invoke("lines")["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_a_model_in_a_prefix_is_fetched_by_the_container(plain_site: Site) -> None:
    s3 = plain_site.client("s3")
    s3.create_bucket(Bucket="weights")
    for path in builtin_path().iterdir():
        if path.is_file():
            s3.upload_file(str(path), "weights", f"llama/{path.name}")
    properties = "option.model_id=s3://weights/llama/\noption.output_formatter=jsonlines\n"
    with Deployment(plain_site, "from-a-prefix") as endpoint:
        endpoint.make(LMI_025, packed({"serving.properties": properties}))
        endpoint.serve()
        lines = endpoint.invoke({"inputs": "Hi"})["Body"].read().splitlines()
        assert len([json.loads(line)["outputs"] for line in lines]) > 1


def test_a_session_opened_by_one_replica_is_closed_by_the_same(site: Site) -> None:
    properties = "option.model_id=any\noption.enable_stateful_sessions=true\n"
    with Deployment(site, "stateful") as endpoint:
        endpoint.make(LMI_036, packed({"serving.properties": properties}), instances=2)
        endpoint.serve()
        for _ in range(4):
            opened = endpoint.invoke({"requestType": "NEW_SESSION"}, SessionId="NEW_SESSION")
            assert _SESSION.fullmatch(opened["NewSessionId"])
            session = opened["NewSessionId"].partition(";")[0]
            for _ in range(3):
                answer = endpoint.invoke({"inputs": "Hi"}, SessionId=session)
                assert "generated_text" in json.load(answer["Body"])
            closed = endpoint.invoke({"requestType": "CLOSE"}, SessionId=session)
            assert closed["ClosedSessionId"] == session


def test_an_address_in_s3_is_no_folder() -> None:
    told = nearstream("serve", "--as", "lmi", "--model-dir", "s3://weights/llama")
    assert (told.returncode, told.stderr.strip()) == (
        3,
        "nearstream: --model-dir is a folder of this machine: name what lies in S3 with --model-data.",
    )
