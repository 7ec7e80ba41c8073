"""STS, IAM, ECR and signatures of sessions, with boto3 against a whole site."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from nearstream.home import sessions
from nearstream.testing import ScriptedSite

ROLE = "arn:aws:iam::123456789012:role/sagemaker_execution_role"


def session_of(credentials: dict[str, Any], site: ScriptedSite, *, token: str | None = None) -> Any:
    """Clients that sign with temporary credentials."""
    session = boto3.Session(
        credentials["AccessKeyId"],
        credentials["SecretAccessKey"],
        token or credentials["SessionToken"],
        region_name="us-east-1",
    )
    once = Config(retries={"total_max_attempts": 1})
    return lambda service: session.client(service, endpoint_url=site.url, config=once)


def test_the_caller_acts_in_the_role_that_iam_knows(sagemaker_site: ScriptedSite) -> None:
    me = sagemaker_site.boto3("sts").get_caller_identity()
    assert me["Arn"] == "arn:aws:sts::123456789012:assumed-role/sagemaker_execution_role/site"
    assert me["Account"] == "123456789012"
    role = sagemaker_site.boto3("iam").get_role(RoleName=me["Arn"].split("/")[1])["Role"]
    assert role["Arn"] == ROLE and me["UserId"] == f"{role['RoleId']}:site"
    trusted = role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]
    assert trusted == {"Service": "sagemaker.amazonaws.com"}


def test_calls_of_sts_and_iam_may_be_signed_for_another_region(sagemaker_site: ScriptedSite) -> None:
    variables = sagemaker_site.environment
    for service, operation, members in (
        ("sts", "get_caller_identity", {}),
        ("iam", "get_role", {"RoleName": "sagemaker_execution_role"}),
    ):
        client = boto3.client(
            service,
            region_name="eu-west-1",
            endpoint_url=variables["AWS_ENDPOINT_URL"],
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        )
        assert getattr(client, operation)(**members)


def test_an_assumed_role_may_call_everything(sagemaker_site: ScriptedSite) -> None:
    assumed = sagemaker_site.boto3("sts").assume_role(RoleArn=ROLE, RoleSessionName="bob@work")
    clients = session_of(assumed["Credentials"], sagemaker_site)
    arn = clients("sts").get_caller_identity()["Arn"]
    assert (
        arn
        == assumed["AssumedRoleUser"]["Arn"]
        == ROLE.replace("iam", "sts").replace("role/", "assumed-role/") + "/bob@work"
    )
    sagemaker_site.answer("Hello!")
    answer = clients("sagemaker-runtime").invoke_endpoint(EndpointName="scripted", Body=b'{"inputs": "Hi"}')
    assert b"Hello!" in answer["Body"].read()
    assert clients("sagemaker").list_endpoints()["Endpoints"]


def test_temporary_credentials_are_worth_nothing_without_their_token(sagemaker_site: ScriptedSite) -> None:
    made = sagemaker_site.boto3("sts").get_session_token()["Credentials"]
    assert session_of(made, sagemaker_site)("sts").get_caller_identity()
    for service, operation, code in (
        ("sts", "get_caller_identity", "InvalidClientTokenId"),
        ("sagemaker", "list_models", "UnrecognizedClientException"),
    ):
        with pytest.raises(ClientError) as caught:
            getattr(session_of(made, sagemaker_site, token="other")(service), operation)()
        assert caught.value.response["Error"]["Code"] == code


def test_a_token_that_ended_is_called_expired(
    sagemaker_site: ScriptedSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = sessions.Sessions.begin
    monkeypatch.setattr(
        sessions.Sessions, "begin", lambda self, name, _, *, by: begin(self, name, -1.0, by=by)
    )
    ended = sagemaker_site.boto3("sts").assume_role(RoleArn=ROLE, RoleSessionName="bob")["Credentials"]
    for service, operation, code in (
        ("sts", "get_caller_identity", "ExpiredToken"),
        ("logs", "describe_log_streams", "ExpiredTokenException"),
    ):
        with pytest.raises(ClientError, match="is expired") as caught:
            getattr(session_of(ended, sagemaker_site)(service), operation)()
        assert caught.value.response["Error"]["Code"] == code


@pytest.mark.parametrize(
    ("members", "code", "said"),
    [
        (
            {"RoleArn": ROLE.replace("sagemaker_", "other_")},
            "AccessDenied",
            "not authorized to perform: sts:AssumeRole",
        ),
        ({"RoleArn": ROLE.replace("1234", "4321")}, "AccessDenied", "This site has one role"),
        ({"RoleSessionName": "no blanks"}, "ValidationError", "oleSessionName"),
        ({"DurationSeconds": 99_999}, "ValidationError", "urationSeconds"),
        ({"Policy": "{}"}, "ValidationError", "a site has no policies"),
    ],
)
def test_a_role_that_cannot_be_assumed_so_says_why(
    sagemaker_site: ScriptedSite, members: dict[str, Any], code: str, said: str
) -> None:
    with pytest.raises(ClientError) as caught:
        sagemaker_site.boto3("sts").assume_role(**{"RoleArn": ROLE, "RoleSessionName": "bob"} | members)
    assert (caught.value.response["Error"]["Code"], said in str(caught.value)) == (code, True), caught.value


def test_iam_knows_one_role_and_no_policies(sagemaker_site: ScriptedSite) -> None:
    iam = sagemaker_site.boto3("iam")
    with pytest.raises(
        iam.exceptions.NoSuchEntityException, match="The role with name other cannot be found"
    ):
        iam.get_role(RoleName="other")
    with pytest.raises(ClientError) as caught:
        iam.simulate_principal_policy(PolicySourceArn=ROLE, ActionNames=["s3:GetObject"])
    assert caught.value.response["Error"]["Code"] == "AccessDenied"


def test_ecr_knows_the_images_of_model_servers(sagemaker_site: ScriptedSite) -> None:
    ecr = sagemaker_site.boto3("ecr")
    (data,) = ecr.get_authorization_token()["authorizationData"]
    assert data["proxyEndpoint"] == "https://123456789012.dkr.ecr.us-east-1.amazonaws.com"
    tag = "0.25.0-deepspeed0.11.0-cu118"
    found = ecr.describe_images(
        registryId="763104351884", repositoryName="djl-inference", imageIds=[{"imageTag": tag}]
    )
    assert found["imageDetails"] == [
        {"registryId": "763104351884", "repositoryName": "djl-inference", "imageTags": [tag]}
    ]
    with pytest.raises(ecr.exceptions.ImageNotFoundException, match="imageTag:'latest'"):
        ecr.describe_images(repositoryName="djl-inference", imageIds=[{"imageTag": "latest"}])
    with pytest.raises(ecr.exceptions.RepositoryNotFoundException, match="'mine' does not exist"):
        ecr.describe_images(repositoryName="mine", imageIds=[{"imageTag": "1"}])
    with pytest.raises(ecr.exceptions.InvalidParameterException, match="Name the tags"):
        ecr.describe_images(repositoryName="djl-inference")


def test_the_logs_of_an_endpoint_that_wrote_nothing_are_not_there(sagemaker_site: ScriptedSite) -> None:
    logs = sagemaker_site.boto3("logs")
    for group in ("/aws/sagemaker/Endpoints/none", "/aws/lambda/f", "/aws/sagemaker/Endpoints/../../x"):
        with pytest.raises(logs.exceptions.ResourceNotFoundException, match="log group does not exist"):
            logs.filter_log_events(logGroupName=group.replace("..", "-"))
