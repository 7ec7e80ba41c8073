"""The control plane as boto3 sees it, over a real socket with real signatures."""

import asyncio
import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.unit.services.cloud import TGI

from nearstream.core.endpoints import Endpoint, Model
from nearstream.core.errors import Conflict

ARN = "arn:aws:sagemaker:eu-central-1:000000000000:"
VARIANT = {"VariantName": "v", "ModelName": "chat", "InitialInstanceCount": 1, "InstanceType": "ml.g5.xlarge"}

MEMORY_SIZES = (
    "Value '1111' at 'MemorySizeInMB' failed to satisfy constraint:"
    " Member must satisfy enum value set: [1024, 2048, 3072, 4096, 5120, 6144]"
)
SERVERLESS = {"VariantName": "v", "ModelName": "chat"}


async def refused(call):
    with pytest.raises(ClientError) as caught:
        await call
    error = caught.value.response
    return error["Error"]["Code"], error["Error"]["Message"], error["ResponseMetadata"]["HTTPStatusCode"]


async def test_a_model_is_described_as_it_was_created(cloud):
    container = {
        "Image": TGI,
        "Environment": {"HF_MODEL_ID": "gpt2", "SAGEMAKER_PROGRAM": ""},
        "ModelDataSource": {
            "S3DataSource": {
                "S3Uri": "s3://bucket/prefix/",
                "S3DataType": "S3Prefix",
                "CompressionType": "None",
            }
        },
    }
    created = await cloud.call(
        "create_model",
        ModelName="Chat",
        ExecutionRoleArn="arn:aws:iam::000000000000:role/r",
        PrimaryContainer=container,
        Tags=[{"Key": "team", "Value": "édge"}],
    )
    assert created["ModelArn"] == ARN + "model/chat"
    described = await cloud.call("describe_model", ModelName="Chat")
    described.pop("ResponseMetadata")
    assert described == {
        "ModelName": "Chat",
        "ModelArn": ARN + "model/chat",
        "PrimaryContainer": container,
        "ExecutionRoleArn": "arn:aws:iam::000000000000:role/r",
        "EnableNetworkIsolation": False,
        "CreationTime": datetime.fromtimestamp(cloud.now, UTC),
    }
    stored = await cloud.store.get(Model, "Chat")
    assert stored.containers[0].model_data_url == "s3://bucket/prefix/"
    assert dict(stored.containers[0].environment)["HF_MODEL_ID"] == "gpt2"


@pytest.mark.parametrize(
    ("members", "unpacked"),
    [
        ({"ModelDataUrl": "s3://b/m.tar.gz"}, True),
        ({"ModelDataSource": {"S3DataSource": {
            "S3Uri": "s3://b/m.tar.gz", "S3DataType": "S3Object", "CompressionType": "Gzip"}}}, True),
        ({"ModelDataSource": {"S3DataSource": {
            "S3Uri": "s3://b/m.tar.gz", "S3DataType": "S3Object", "CompressionType": "None"}}}, False),
    ],
)  # fmt: skip
async def test_an_archive_is_unpacked_unless_its_compression_type_is_none(cloud, members, unpacked):
    await cloud.call(
        "create_model",
        ModelName="m",
        ExecutionRoleArn="arn:aws:iam::000000000000:role/r",
        PrimaryContainer={"Image": TGI, **members},
    )
    assert (await cloud.store.get(Model, "m")).containers[0].unpacked is unpacked


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({"ModelDataUrl": "s3://b/m.tar.gz"}, "s3://b/m.tar.gz"),
        ({"ModelDataSource": {"S3DataSource": {
            "S3Uri": "s3://b/m/", "S3DataType": "S3Prefix", "CompressionType": "None"}}}, "s3://b/m/"),
        ({"ModelDataSource": {"S3DataSource": {
            "S3Uri": "", "S3DataType": "S3Prefix", "CompressionType": "None"}}}, None),
        ({}, None),
    ],
)  # fmt: skip
async def test_model_data_is_named_in_either_form_or_not_at_all(cloud, members, found):
    await cloud.call(
        "create_model",
        ModelName="Data",
        ExecutionRoleArn="arn:aws:iam::000000000000:role/r",
        PrimaryContainer={"Image": TGI, **members},
    )
    assert (await cloud.store.get(Model, "Data")).containers[0].model_data_url == found


async def test_an_endpoint_is_created_runs_and_goes(cloud):
    created = await cloud.make_endpoint()
    assert created["EndpointArn"] == ARN + "endpoint/chat"
    creating = await cloud.call("describe_endpoint", EndpointName="chat")
    assert creating["EndpointStatus"] == "Creating"
    assert creating["ProductionVariants"][0]["VariantStatus"][0]["Status"] == "Creating"
    await cloud.settle("chat", "InService")
    described = await cloud.call("describe_endpoint", EndpointName="chat")
    described.pop("ResponseMetadata")
    created_at = described.pop("CreationTime")
    assert described.pop("LastModifiedTime") == created_at
    assert described == {
        "EndpointName": "chat",
        "EndpointArn": ARN + "endpoint/chat",
        "EndpointConfigName": "chat",
        "EndpointStatus": "InService",
        "ProductionVariants": [
            {
                "VariantName": "AllTraffic",
                "DeployedImages": [
                    {"SpecifiedImage": TGI, "ResolvedImage": TGI, "ResolutionTime": created_at}
                ],
                "CurrentWeight": 1.0,
                "DesiredWeight": 1.0,
                "CurrentInstanceCount": 2,
                "DesiredInstanceCount": 2,
            }
        ],
    }
    assert (await cloud.call("delete_endpoint", EndpointName="chat"))["ResponseMetadata"][
        "HTTPStatusCode"
    ] == 200
    assert (await cloud.call("describe_endpoint", EndpointName="chat"))["EndpointStatus"] == "Deleting"


async def test_boto3s_waiters_see_an_endpoint_come_and_go(cloud):
    await cloud.make_endpoint()
    await cloud.settle("chat", "InService")
    once = {"Delay": 0, "MaxAttempts": 1}
    wait = {
        name: cloud.sagemaker.get_waiter(name).wait for name in ("endpoint_in_service", "endpoint_deleted")
    }
    await asyncio.to_thread(wait["endpoint_in_service"], EndpointName="chat", WaiterConfig=once)
    await cloud.store.delete(Endpoint, "chat")
    await asyncio.to_thread(wait["endpoint_deleted"], EndpointName="chat", WaiterConfig=once)


async def test_configuration_and_model_may_go_while_the_endpoint_runs(cloud):
    await cloud.make_endpoint()
    await cloud.settle("chat", "InService")
    await cloud.call("delete_endpoint_config", EndpointConfigName="chat")
    await cloud.call("delete_model", ModelName="chat")
    described = await cloud.call("describe_endpoint", EndpointName="chat")
    assert described["ProductionVariants"][0]["DeployedImages"][0]["SpecifiedImage"] == TGI


@pytest.mark.parametrize(
    ("name", "members", "message"),
    [
        ("describe_endpoint", {"EndpointName": "No"}, f'Could not find endpoint "{ARN}endpoint/no".'),
        ("delete_endpoint", {"EndpointName": "No"}, f'Could not find endpoint "{ARN}endpoint/no".'),
        ("describe_model", {"ModelName": "no"}, f'Could not find model "{ARN}model/no".'),
        ("delete_model", {"ModelName": "no"}, f'Could not find model "{ARN}model/no".'),
        (
            "describe_endpoint_config",
            {"EndpointConfigName": "no"},
            f'Could not find endpoint configuration "{ARN}endpoint-config/no".',
        ),
        (
            "create_endpoint",
            {"EndpointName": "a", "EndpointConfigName": "no"},
            f'Could not find endpoint configuration "{ARN}endpoint-config/no".',
        ),
        (
            "create_endpoint_config",
            {"EndpointConfigName": "a", "ProductionVariants": [VARIANT]},
            f'Could not find model "{ARN}model/chat".',
        ),
        ("list_tags", {"ResourceArn": f"{ARN}model/no"}, f'Could not find resource "{ARN}model/no".'),
    ],
)
async def test_what_does_not_exist_is_named_by_its_arn(cloud, name, members, message):
    assert await refused(cloud.call(name, **members)) == ("ValidationException", message, 400)


async def test_a_second_of_the_same_name_is_refused_in_any_case(cloud):
    await cloud.make_endpoint()
    made: list[tuple[str, str, str, dict[str, Any]]] = [
        ("create_model", "model", "model", {"ModelName": "CHAT", "PrimaryContainer": {"Image": TGI}}),
        (
            "create_endpoint_config",
            "endpoint configuration",
            "endpoint-config",
            {"EndpointConfigName": "chat", "ProductionVariants": [VARIANT]},
        ),
        ("create_endpoint", "endpoint", "endpoint", {"EndpointName": "Chat", "EndpointConfigName": "chat"}),
    ]
    for name, noun, kind, members in made:
        _, message, _ = await refused(cloud.call(name, **members))
        assert message == f'Cannot create already existing {noun} "{ARN}{kind}/chat".'


async def test_an_endpoint_in_progress_takes_no_change(cloud):
    await cloud.make_endpoint()
    message = f'Cannot update in-progress endpoint "{ARN}endpoint/chat".'
    for status in ("Creating", "Updating", "Deleting"):
        await cloud.settle("chat", status)
        update = cloud.call("update_endpoint", EndpointName="chat", EndpointConfigName="chat")
        assert (await refused(update))[1] == message
        assert (await refused(cloud.call("delete_endpoint", EndpointName="chat")))[1] == message


async def test_a_failed_endpoint_takes_only_its_deletion(cloud):
    await cloud.make_endpoint()
    await cloud.settle("chat", "Failed", "The model is too large.")
    described = await cloud.call("describe_endpoint", EndpointName="chat")
    assert described["FailureReason"] == "The model is too large."
    update = cloud.call("update_endpoint", EndpointName="chat", EndpointConfigName="chat")
    assert "in status Failed" in (await refused(update))[1]
    await cloud.call("delete_endpoint", EndpointName="chat")


async def test_an_image_of_ones_own_fails_the_endpoint_with_a_reason(cloud):
    await cloud.make_endpoint(image="registry.example/mine:1")
    described = await cloud.call("describe_endpoint", EndpointName="chat")
    assert described["EndpointStatus"] == "Failed"
    assert "registry.example/mine:1" in described["FailureReason"]
    assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 0


async def test_an_update_takes_the_new_configuration(cloud):
    await cloud.make_endpoint()
    await cloud.settle("chat", "InService")
    variants = [{**VARIANT, "VariantName": "AllTraffic", "InitialVariantWeight": 0.5}]
    await cloud.call("create_endpoint_config", EndpointConfigName="new", ProductionVariants=variants)
    await cloud.call("update_endpoint", EndpointName="chat", EndpointConfigName="new")
    updated = await cloud.store.get(Endpoint, "chat")
    assert (updated.status, updated.config, updated.variants[0].instances) == ("Updating", "new", 1)
    await cloud.settle("chat", "InService")
    variants[0]["InitialInstanceCount"] = 3
    await cloud.call("create_endpoint_config", EndpointConfigName="newer", ProductionVariants=variants)
    await cloud.call(
        "update_endpoint",
        EndpointName="chat",
        EndpointConfigName="newer",
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DesiredInstanceCount"}],
    )
    retained = await cloud.store.get(Endpoint, "chat")
    assert (retained.variants[0].instances, retained.variants[0].weight) == (3, 0.5)


async def test_weights_and_counts_change_on_a_running_endpoint(cloud):
    await cloud.make_endpoint()
    await cloud.settle("chat", "InService")

    def resize(**desired):
        return cloud.call(
            "update_endpoint_weights_and_capacities",
            EndpointName="chat",
            DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", **desired}],
        )

    assert (await resize(DesiredInstanceCount=4, DesiredWeight=2))["EndpointArn"] == ARN + "endpoint/chat"
    resized = await cloud.store.get(Endpoint, "chat")
    assert (resized.status, resized.variants[0].instances, resized.variants[0].weight) == ("Updating", 4, 2.0)
    await cloud.settle("chat", "InService")
    twice = cloud.call(
        "update_endpoint_weights_and_capacities",
        EndpointName="chat",
        DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic"}] * 2,
    )
    assert (await refused(twice))[1] == 'The variant name "AllTraffic" was non-unique within the request.'
    assert "keeps at least one" in (await refused(resize(DesiredInstanceCount=0)))[1]
    assert (await refused(resize(DesiredInstanceCount=65)))[0] == "ResourceLimitExceeded"
    assert (await refused(resize(VariantName="other")))[1] == (
        'The variant name(s) "other" is/are not present within endpoint configuration "chat".'
    )


async def test_a_change_is_tried_again_when_the_reconcile_loop_wrote_meanwhile(cloud, monkeypatch):
    await cloud.make_endpoint()
    await cloud.settle("chat", "InService")
    replace = cloud.store.replace
    times: list[Any] = []

    async def overtaken(old, new):
        if not times:
            times.append(1)
            await replace(old, dataclasses.replace(old, modified_at=1.0))
        await replace(old, new)

    monkeypatch.setattr(cloud.store, "replace", overtaken)
    await cloud.call("delete_endpoint", EndpointName="chat")
    assert (await cloud.store.get(Endpoint, "chat")).status == "Deleting"


async def test_a_change_gives_up_on_a_record_that_never_holds_still(cloud, monkeypatch):
    await cloud.make_endpoint()
    await cloud.settle("chat", "InService")

    async def conflicting(old, new):
        raise Conflict("changed")

    monkeypatch.setattr(cloud.store, "replace", conflicting)
    assert "is being changed" in (await refused(cloud.call("delete_endpoint", EndpointName="chat")))[1]


async def test_tags_are_kept_by_arn_and_go_with_their_model(cloud):
    arn = ARN + "model/m"
    make = {
        "ModelName": "m",
        "PrimaryContainer": {"Image": TGI},
        "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}],
    }
    await cloud.call("create_model", **make)
    await cloud.call(
        "add_tags", ResourceArn=arn, Tags=[{"Key": "b", "Value": "3"}, {"Key": "c", "Value": ""}]
    )
    await cloud.call("delete_tags", ResourceArn=arn, TagKeys=["a", "absent"])
    tags = (await cloud.call("list_tags", ResourceArn=arn))["Tags"]
    assert tags == [{"Key": "b", "Value": "3"}, {"Key": "c", "Value": ""}]
    many = [{"Key": f"k{number}", "Value": ""} for number in range(49)]
    assert "51 tags" in (await refused(cloud.call("add_tags", ResourceArn=arn, Tags=many)))[1]
    await cloud.call("delete_model", ModelName="m")
    await cloud.call("create_model", **{**make, "Tags": []})
    assert (await cloud.call("list_tags", ResourceArn=arn))["Tags"] == []


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "Neither PrimaryContainer nor Containers"),
        ({"PrimaryContainer": {"Image": TGI}, "Containers": [{"Image": TGI}]}, "Both PrimaryContainer and"),
        ({"PrimaryContainer": {}}, "without an Image"),
        ({"PrimaryContainer": {"ModelPackageName": "package"}}, "ModelPackageName was given"),
        ({"PrimaryContainer": {"Image": TGI, "Mode": "MultiModel"}}, "'MultiModel'"),
    ],
)
async def test_a_model_that_cannot_be_hosted_is_refused(cloud, members, message):
    code, text, _ = await refused(cloud.call("create_model", ModelName="m", **members))
    assert code == "ValidationException"
    assert message in text


@pytest.mark.parametrize(
    ("members", "code", "message"),
    [
        ({"AsyncInferenceConfig": {"OutputConfig": {}}}, "ValidationException", "AsyncInferenceConfig"),
        ({"ShadowProductionVariants": [VARIANT]}, "ValidationException", "ShadowProductionVariants"),
        (
            {
                "ExplainerConfig": {
                    "ClarifyExplainerConfig": {"ShapConfig": {"ShapBaselineConfig": {"ShapBaseline": "1"}}}
                }
            },
            "ValidationException",
            "ExplainerConfig",
        ),
        (
            {
                "CrossRegionTrafficConfig": {
                    "MaxInvocationsPerSecondPerInstance": 1,
                    "MaxCrossRegionPercentPerEndpoint": 1,
                }
            },
            "ValidationException",
            "CrossRegionTrafficConfig",
        ),
        (
            {
                "ProductionVariants": [
                    {**SERVERLESS, "ServerlessConfig": {"MemorySizeInMB": 1111, "MaxConcurrency": 1}}
                ]
            },
            "ValidationException",
            MEMORY_SIZES,
        ),
        ({"ProductionVariants": [VARIANT, VARIANT]}, "ValidationException", "'v' was given more than once"),
        (
            {"ProductionVariants": [{**VARIANT, "InitialInstanceCount": 65}]},
            "ResourceLimitExceeded",
            "'ml.g5.xlarge for endpoint usage' is 64",
        ),
        (
            {"ProductionVariants": [{**VARIANT, "InitialVariantWeight": float("inf")}]},
            "ValidationException",
            "a finite number",
        ),
        (
            {
                "DataCaptureConfig": {
                    "EnableCapture": True,
                    "InitialSamplingPercentage": 1,
                    "DestinationS3Uri": "s3://b/",
                    "CaptureOptions": [{"CaptureMode": "Input"}],
                }
            },
            "ValidationException",
            "asks for capture",
        ),
    ],
)
async def test_a_configuration_that_cannot_be_met_is_refused(cloud, members, code, message):
    request = {"EndpointConfigName": "c", "ProductionVariants": [VARIANT], **members}
    given, text, _ = await refused(cloud.call("create_endpoint_config", **request))
    assert given == code
    assert message in text


async def test_a_variant_without_a_model_makes_a_failed_endpoint(cloud):
    variant = {"VariantName": "v", "InstanceType": "ml.g5.xlarge", "InitialInstanceCount": 1}
    await cloud.call("create_endpoint_config", EndpointConfigName="c", ProductionVariants=[variant])
    await cloud.call("create_endpoint", EndpointName="e", EndpointConfigName="c")
    described = await cloud.call("describe_endpoint", EndpointName="e")
    assert "inference components are not supported" in described["FailureReason"]
    assert "DeployedImages" in described["ProductionVariants"][0]


async def test_a_model_with_two_containers_makes_a_failed_endpoint(cloud):
    await cloud.call("create_model", ModelName="chat", Containers=[{"Image": TGI}, {"Image": TGI}])
    await cloud.call("create_endpoint_config", EndpointConfigName="c", ProductionVariants=[VARIANT])
    await cloud.call("create_endpoint", EndpointName="e", EndpointConfigName="c")
    assert "2 containers" in (await cloud.call("describe_endpoint", EndpointName="e"))["FailureReason"]


async def test_a_value_of_the_wrong_form_is_answered_in_awss_words(cloud):
    code, message, _ = await refused(cloud.call("describe_endpoint", EndpointName="x y"))
    assert code == "ValidationException"
    assert message == (
        "1 validation error detected: Value 'x y' at 'endpointName' failed to satisfy constraint:"
        " Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
    )


async def test_a_wrong_secret_is_an_invalid_signature(cloud):
    client = cloud.client("sagemaker", secret="wrong")
    code, message, status = await refused(asyncio.to_thread(client.list_models))
    assert (code, status) == ("InvalidSignatureException", 403)
    assert message.startswith("The request signature we calculated does not match")


async def test_an_operation_that_only_aws_has_is_named(cloud):
    code, message, status = await refused(cloud.call("list_training_jobs"))
    assert (code, status) == ("UnknownOperationException", 400)
    assert "'ListTrainingJobs', which only AWS answers" in message
