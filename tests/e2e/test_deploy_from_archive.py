"""Models from archives, through boto3 alone: what docs/how-to/model-data.md prints, and what goes wrong."""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.guide import Guide
from tests.support.site import Site, nearstream, pid_of
from tests.support.waiting import eventually

from nearstream.models.builtin import builtin_path

GUIDE = Guide.read("how-to/model-data.md")
BUCKET = "models-under-test"
REPOSITORIES = {
    "tgi": "huggingface-pytorch-tgi-inference:2.0.1-tgi1.0.3-gpu-py39",
    "lmi": "djl-inference:0.25.0-deepspeed0.11.0-cu118",
}


def put(site: Site, key: str, data: bytes) -> str:
    s3 = site.client("s3")
    if BUCKET not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key=key, Body=data)
    return f"s3://{BUCKET}/{key}"


def archive(**files: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(f"mymodel/{name.replace('__', '.')}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return made.getvalue()


@contextmanager
def deployed(site: Site, name: str, url: str, image: str = "tgi", **environment: str) -> Iterator[Any]:
    sagemaker = site.client("sagemaker")
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn="arn:aws:iam::123456789012:role/sagemaker",
        PrimaryContainer={
            "Image": f"763104351884.dkr.ecr.us-east-1.amazonaws.com/{REPOSITORIES[image]}",
            "ModelDataUrl": url,
            "Environment": environment,
        },
    )
    variant = {"VariantName": "A", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "local"}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    try:
        yield sagemaker
    finally:
        removed(site, name)


def removed(site: Site, name: str) -> None:
    sagemaker = site.client("sagemaker")
    eventually(lambda: status(site, name)[0] not in ("Creating", "Updating"), f"{name} is settled")
    sagemaker.delete_endpoint(EndpointName=name)
    sagemaker.delete_endpoint_config(EndpointConfigName=name)
    sagemaker.delete_model(ModelName=name)


def status(site: Site, name: str) -> tuple[str, str]:
    found = site.client("sagemaker").describe_endpoint(EndpointName=name)
    return found["EndpointStatus"], found.get("FailureReason", "")


def becomes(site: Site, name: str, wanted: str) -> str:
    """Its FailureReason, once it is there."""
    eventually(lambda: status(site, name)[0] == wanted, f"{name} is {wanted}: {status(site, name)}")
    return status(site, name)[1]


def streamed(site: Site, name: str) -> bytes:
    answer = site.client("sagemaker-runtime").invoke_endpoint_with_response_stream(
        EndpointName=name,
        ContentType="application/json",
        Body=json.dumps({"inputs": "Hello", "parameters": {"max_new_tokens": 8}, "stream": True}),
    )
    return b"".join(event["PayloadPart"]["Bytes"] for event in answer["Body"])


@pytest.mark.skipif(not shutil.which("tar"), reason="tar is not installed")
def test_the_printed_code_packs_uploads_and_deploys_a_model(site: Site, tmp_path: Path) -> None:
    pack = shlex.split(GUIDE.of("")[0].replace("/models/my-model", str(builtin_path())))
    subprocess.run(pack, cwd=tmp_path, check=True)
    done = subprocess.run(
        [sys.executable, "-c", GUIDE.of("python")[0]], cwd=tmp_path, env=os.environ | site.environment(),
        capture_output=True, text=True, check=False, timeout=90,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"data:" in streamed(site, "my-model")
    shown = nearstream("status", home=site.home).stdout
    assert "s3://my-models/my-model/model.tar.gz, tgi 1.0.3" in shown
    removed(site, "my-model")


def test_an_lmi_archive_brings_its_settings_and_the_sites_aliases_hold(site: Site) -> None:
    properties = b"engine=MPI\noption.model_id=tiiuae/falcon-7b-instruct\noption.rolling_batch=auto\n"
    url = put(site, "lmi/model.tar.gz", archive(serving__properties=properties))
    with deployed(site, "lmi-data", url, "lmi"):
        becomes(site, "lmi-data", "InService")
        assert b"generated_text" in streamed(site, "lmi-data")


def test_what_is_wrong_with_an_archive_is_the_endpoints_reason_at_once(site: Site) -> None:
    broken = put(site, "broken/model.tar.gz", archive(serving__properties=b"x" * 5000)[:-20])
    with (
        deployed(site, "no-archive", f"s3://{BUCKET}/nothing/model.tar.gz"),
        deployed(site, "no-bucket", "s3://no-such-bucket/model.tar.gz"),
        deployed(site, "broken-archive", broken, "lmi"),
    ):
        said = becomes(site, "no-archive", "Failed")
        assert (
            f"There is no object s3://{BUCKET}/nothing/model.tar.gz" in said and "exited with code 6" in said
        )
        assert "There is no s3://no-such-bucket/model.tar.gz" in becomes(site, "no-bucket", "Failed")
        assert f"{broken} is broken or cut short" in becomes(site, "broken-archive", "Failed")


def test_a_replica_comes_back_with_what_was_deployed_or_not_at_all(site: Site) -> None:
    name = "pinned"
    url = put(site, "pinned/model.tar.gz", archive(serving__properties=b"option.model_id=a/b\n"))
    with deployed(site, name, url, "lmi"):
        becomes(site, name, "InService")

        def replaced() -> None:
            (before,) = site.replicas(name)
            os.kill(pid_of(before), signal.SIGKILL)
            eventually(
                lambda: all(
                    each["id"] != before["id"] or each["state"] == "Dead" for each in site.replicas(name)
                ),
                "it is dead",
            )

        def is_back() -> bool:
            return any(each["state"] == "Ready" for each in site.replicas(name))

        put(site, "pinned/model.tar.gz", archive(serving__properties=b"option.model_id=c/d\n"))
        replaced()
        eventually(is_back, "another replica, from the cache")
        shutil.rmtree(site.home / "cache" / "artifacts")
        for each in site.replicas(name):
            if each["state"] == "Ready":
                os.kill(pid_of(each), signal.SIGKILL)
        assert "has changed since it was deployed" in becomes(site, name, "Failed")


def test_a_site_with_another_s3_takes_its_models_there(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = put(site, "elsewhere/model.tar.gz", archive(serving__properties=b"option.model_id=a/b\n"))
    keys = site.environment()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, keys[name])
    there = keys["AWS_ENDPOINT_URL"]
    other = Site(tmp_path / "home", options=("--s3-url", there, "--alias", "*=builtin"))
    try:
        other.start()
        assert not (other.home / "objects").exists() and other.status()["objects"] == there
        with pytest.raises(ClientError, match=f"they lie at {there}"):
            other.client("s3").list_buckets()
        with deployed(other, "from-there", url, "lmi"):
            becomes(other, "from-there", "InService")
    finally:
        other.stop()


def test_objects_outlive_a_front_door_that_is_killed(own_site: Site) -> None:
    client = own_site.client("s3")
    put(own_site, "kept", b"kept")
    client.put_object(Bucket=BUCKET, Key="odd//key", Body=b"kept too", Metadata={"a": "b"})
    own_site.kill()
    own_site.start()
    assert client.get_object(Bucket=BUCKET, Key="odd//key")["Body"].read() == b"kept too"
    assert client.head_object(Bucket=BUCKET, Key="odd//key")["Metadata"] == {"a": "b"}
