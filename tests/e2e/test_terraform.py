"""Terraform with its provider for AWS makes, changes and destroys what examples/terraform describes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.site import Site

EXAMPLE = Path(__file__).parents[2] / "examples" / "terraform" / "main.tf"
# Where a machine keeps providers that Terraform takes without asking a registry.
MIRRORS = (
    Path("/opt/tf-plugins"),
    Path("/usr/local/share/terraform/plugins"),
    Path("/usr/share/terraform/plugins"),
    Path.home() / ".terraform.d" / "plugins",
)
PROVIDER = "registry.terraform.io/hashicorp/aws"
NAME, BUCKET = "terraform-assistant", "assistant-files"


@dataclass(frozen=True, slots=True)
class Terraform:
    """The example in a folder of its own, for one site."""

    folder: Path
    variables: dict[str, str]

    def __call__(self, command: str, *options: str, fails: bool = False, **values: str) -> int:
        given = [f"-var={name}={value}" for name, value in values.items()]
        done = subprocess.run(
            ["terraform", command, "-no-color", "-input=false", *options, *given],
            cwd=self.folder, env=self.variables, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert fails or done.returncode == 0, done.stdout + done.stderr
        return done.returncode


@pytest.fixture
def terraform(site: Site, tmp_path: Path) -> Iterator[Terraform]:
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed")
    mirror = next((path for path in MIRRORS if (path / PROVIDER).is_dir()), None)
    if mirror is None:
        pytest.skip("Terraform's provider for AWS is not installed")
    shutil.copy(EXAMPLE, tmp_path)
    own = tmp_path / "terraformrc"
    own.write_text(
        f"provider_installation {{\n  filesystem_mirror {{\n    path = {json.dumps(str(mirror))}\n  }}\n}}\n"
    )
    keys = {name: value for name, value in site.environment().items() if name != "AWS_ENDPOINT_URL"}
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))}
    variables |= keys | {
        "TF_CLI_CONFIG_FILE": str(own),
        "TF_VAR_site": site.environment()["AWS_ENDPOINT_URL"],
        "CHECKPOINT_DISABLE": "1",
    }
    run = Terraform(tmp_path, variables)
    run("init")
    try:
        yield run
    finally:
        state = tmp_path / "terraform.tfstate"
        if state.exists() and json.loads(state.read_text())["resources"]:
            run("destroy", "-auto-approve", fails=True)


@pytest.mark.timeout(400)  # the provider takes a processor's ten seconds for each command
def test_terraform_makes_changes_and_destroys_an_endpoint_and_a_bucket(
    site: Site, terraform: Terraform
) -> None:
    sagemaker, runtime, s3 = (site.client(name) for name in ("sagemaker", "sagemaker-runtime", "s3"))

    terraform("apply", "-auto-approve")
    answer = runtime.invoke_endpoint(EndpointName=NAME, Body=b'{"inputs": "Hi"}')
    assert json.loads(answer["Body"].read())[0]["generated_text"]
    assert s3.get_object(Bucket=BUCKET, Key="notes/replicas.txt")["Body"].read() == b"1 replicas"
    made = sagemaker.describe_model(ModelName=NAME)["ModelArn"]
    assert sagemaker.list_tags(ResourceArn=made)["Tags"] == [{"Key": "team", "Value": "assistants"}]

    terraform("apply", "-auto-approve", "-refresh=false", replicas="2")
    (variant,) = sagemaker.describe_endpoint(EndpointName=NAME)["ProductionVariants"]
    assert variant["CurrentInstanceCount"] == 2
    assert s3.get_object(Bucket=BUCKET, Key="notes/replicas.txt")["Body"].read() == b"2 replicas"
    # The status is 2 where something differs from what is described.
    assert terraform("plan", "-detailed-exitcode", fails=True, replicas="2") == 0

    terraform("destroy", "-auto-approve", "-refresh=false", replicas="2")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=NAME, WaiterConfig={"Delay": 1})
    assert sagemaker.list_endpoint_configs(NameContains=NAME)["EndpointConfigs"] == []
    assert BUCKET not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
