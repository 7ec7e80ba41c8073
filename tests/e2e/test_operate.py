"""What docs/how-to/operate.md tells operators to do works: reading state, and moving a home."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support.guide import ROOT, Guide, output_of
from tests.support.site import Site

from nearstream.models.builtin import builtin_path

GUIDE = Guide.read("how-to/operate.md")
COMMANDS = GUIDE.commands()
IMAGE = (
    "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-tgi-inference:2.0.1-tgi1.0.3-gpu-py39"
)


def command(beginning: str) -> str:
    return next(line for line in COMMANDS if line.startswith(beginning))


def deploy_own(site: Site) -> None:
    """An endpoint beside the assistant, and an object."""
    sagemaker = site.client("sagemaker")
    container = {"Image": IMAGE, "Environment": {"HF_MODEL_ID": str(builtin_path())}}
    sagemaker.create_model(
        ModelName="own", ExecutionRoleArn="arn:aws:iam::123456789012:role/x", PrimaryContainer=container
    )
    variant = {"VariantName": "all", "ModelName": "own", "InitialInstanceCount": 1, "InstanceType": "local"}
    sagemaker.create_endpoint_config(EndpointConfigName="own", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="own", EndpointConfigName="own")
    in_service(site)
    site.client("s3").create_bucket(Bucket="kept")
    site.client("s3").put_object(Bucket="kept", Key="a/b", Body=b"kept")


def in_service(site: Site) -> None:
    waiter = site.client("sagemaker").get_waiter("endpoint_in_service")
    waiter.wait(EndpointName="own", WaiterConfig={"Delay": 1})


def test_a_home_that_was_packed_goes_on_in_another_place(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("user")  # a short path: sockets of a long one lie elsewhere
    (place / ".venv").symlink_to(ROOT / ".venv")
    environ = {**os.environ, "HOME": str(place)}
    old = Site(place / ".nearstream")
    moved = Site(place / "restored")
    try:
        old.start()
        deploy_own(old)
        keys = old.environment()
        shown = output_of(command("for socket in"), place, environ)
        assert shown.count("\ntgi_request_count ") == 2
        assert output_of(command(".venv/bin/nearstream logs"), place, environ)
        assert "own" in output_of(".venv/bin/nearstream status", place, environ)
        stop, pack, make, unpack = (
            command(start) for start in (".venv/bin/nearstream down", "tar -czf", "mkdir", "tar -xzf")
        )
        for step in (stop, pack, make, unpack):
            output_of(step, place, environ)
        shutil.rmtree(old.home)
        moved.start()
        in_service(moved)
        now = moved.environment()
        assert now["AWS_SECRET_ACCESS_KEY"] == keys["AWS_SECRET_ACCESS_KEY"]
        assert moved.client("s3").get_object(Bucket="kept", Key="a/b")["Body"].read() == b"kept"
        answer = moved.client("sagemaker-runtime").invoke_endpoint(
            EndpointName="own", Body=b'{"inputs": "Hello"}', ContentType="application/json"
        )
        assert b"generated_text" in answer["Body"].read()
    finally:
        old.stop()
        moved.stop()


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd is not installed")
    (unit,) = GUIDE.of("ini")
    path = tmp_path / "nearstream-site.service"
    path.write_text(unit.replace("/opt/nearstream", str(ROOT)).replace("User=nearstream\n", ""))
    done = subprocess.run([analyze, "verify", path], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if "nearstream" in line] == []
