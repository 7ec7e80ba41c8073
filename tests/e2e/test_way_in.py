"""Code that knows nothing of nearstream, with the variables of `nearstream env` alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import SSLError
from tests.contract.clients.environment import python_of
from tests.support.site import Site, nearstream

import nearstream as api

EXAMPLES = Path(__file__).parents[2] / "examples"
SDK_EXAMPLES = ("llama2_tgi.py", "llama2_lmi.py", "falcon_lmi.py", "falcon_tgi.py")
ANSWER_WORDS = 3

BOTO3 = """
import boto3, json
print(boto3.client("sts").get_caller_identity()["Arn"])
bucket = boto3.resource("s3").create_bucket(Bucket="by-its-own-name")
bucket.put_object(Key="a/b", Body=b"x" * 100_000)
print(len(bucket.Object("a/b").get()["Body"].read()))
bucket.objects.all().delete()
bucket.delete()
runtime = boto3.client("sagemaker-runtime")
body = json.dumps({"inputs": "Hello", "parameters": {"max_new_tokens": 5}, "stream": True})
answer = runtime.invoke_endpoint_with_response_stream(EndpointName="assistant", Body=body)
print(sum(1 for _ in answer["Body"]) > 0)
"""


def outside(variables: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without AWS and proxies, and `variables`."""
    own = {
        k: v for k, v in os.environ.items() if not k.upper().startswith("AWS_") and "PROXY" not in k.upper()
    }
    return {**own, "SAGEMAKER_SUPPRESS_V2_WARNING": "1", **variables}


def ran(command: list[str], variables: Mapping[str, str], folder: Path) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=400, check=False, env=outside(variables), cwd=folder
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that speaks HTTPS."""
    running = Site(tmp_path_factory.mktemp("secure"), options=("--alias", "*=builtin", "--tls"))
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.mark.timeout(600)
def test_the_examples_for_the_sagemaker_sdk_run_from_deploy_to_clean_up(site: Site, tmp_path: Path) -> None:
    python = str(python_of("sagemaker_2"))
    variables = site.environment()

    def run(name: str) -> str:
        return ran([python, str(EXAMPLES / name)], variables, tmp_path)

    # The SDK looks every 30 seconds whether an endpoint is ready.
    with ThreadPoolExecutor() as pool:
        for name, printed in zip(SDK_EXAMPLES, pool.map(run, SDK_EXAMPLES), strict=True):
            assert len(printed.split()) > ANSWER_WORDS, name
    left = site.client("sagemaker").list_endpoints()["Endpoints"]
    assert not [each["EndpointName"] for each in left if "falcon-7b" in each["EndpointName"]]


def test_boto3_reaches_awss_own_names(site: Site, tmp_path: Path) -> None:
    variables = {k: v for k, v in site.environment().items() if k != "AWS_ENDPOINT_URL"}
    arn, size, streamed = ran([sys.executable, "-c", BOTO3], variables, tmp_path).split()
    assert arn.endswith(":assumed-role/sagemaker_execution_role/site")
    assert (size, streamed) == ("100000", "True")


def test_awss_command_line_says_who_calls(site: Site, tmp_path: Path) -> None:
    aws = str(python_of("awscli").with_name("aws"))
    variables = {k: v for k, v in site.environment().items() if k != "AWS_ENDPOINT_URL"}
    said = json.loads(ran([aws, "sts", "get-caller-identity", "--output", "json"], variables, tmp_path))
    assert said["Arn"].endswith(":assumed-role/sagemaker_execution_role/site")


def test_direct_leaves_the_proxy_out(site: Site) -> None:
    direct = json.loads(nearstream("env", "--json", "--direct", home=site.home).stdout)
    assert set(direct) == {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
    }


def test_variables_that_lead_past_the_proxy_are_replaced(site: Site) -> None:
    around = outside(
        {"NO_PROXY": "*,intranet,.amazonaws.com,s3.amazonaws.com", "HTTPS_PROXY": "http://other:1"}
    )
    variables = json.loads(nearstream("env", "--json", home=site.home, env=around).stdout)
    assert variables["NO_PROXY"] == variables["no_proxy"] == "localhost,127.0.0.1,::1,intranet"
    assert variables["HTTPS_PROXY"] == variables["AWS_ENDPOINT_URL"]


def test_the_bundle_holds_the_machines_authorities_and_no_key(site: Site) -> None:
    bundle = Path(site.environment()["AWS_CA_BUNDLE"])
    assert bundle.read_text().count("BEGIN CERTIFICATE") > 20 and "PRIVATE" not in bundle.read_text()
    assert (site.home / "authority.pem").stat().st_mode & 0o777 == 0o600


def test_a_site_with_tls_serves_its_own_clients_and_others(secure: Site, tmp_path: Path) -> None:
    variables = secure.environment()
    assert variables["AWS_ENDPOINT_URL"].startswith("https://")
    assert "InService" in nearstream("status", home=secure.home).stdout
    with api.Client(api.SageMakerEndpoint.from_home("assistant", secure.home)) as client:
        assert client.chat("Hello", max_new_tokens=5).read()
    assert ran([sys.executable, "-c", BOTO3], variables, tmp_path).split()[1:] == ["100000", "True"]
    runtime = boto3.client(
        "sagemaker",
        region_name="us-east-1",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        verify=True,
    )
    with pytest.raises(SSLError):
        runtime.list_models()


@pytest.mark.timeout(400)
def test_a_site_with_tls_fetches_a_models_data_and_is_a_proxy(secure: Site, tmp_path: Path) -> None:
    python = str(python_of("sagemaker_2"))
    printed = ran([python, str(EXAMPLES / "llama2_lmi.py")], secure.environment(), tmp_path)
    assert len(printed.split()) > ANSWER_WORDS


def test_half_a_certificate_is_refused(tmp_path: Path) -> None:
    done = nearstream("up", "--tls-cert", str(tmp_path / "cert.pem"), home=tmp_path)
    assert (done.returncode, "tls_key is wanted" in done.stderr) == (3, True), done.stderr
