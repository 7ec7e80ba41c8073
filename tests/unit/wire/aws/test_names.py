"""ARNs, image URIs and the tables of errors."""

import pytest

from nearstream.core import errors as domain
from nearstream.wire.aws import errors, image
from nearstream.wire.aws.arn import Account
from nearstream.wire.aws.image import Image

ECR = "763104351884.dkr.ecr.us-east-1.amazonaws.com/"


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (
            ECR + "huggingface-pytorch-tgi-inference:2.0.1-tgi0.9.3-gpu-py39-cu118-ubuntu20.04",
            Image("tgi", "0.9.3"),
        ),
        (
            ECR + "huggingface-pytorch-tgi-inference:2.7.0-tgi3.3.6-gpu-py311-cu124-ubuntu22.04",
            Image("tgi", "3.3.6"),
        ),
        (ECR + "huggingface-pytorch-tgi-inference:latest", Image("tgi", "")),
        (ECR + "djl-inference:0.23.0-deepspeed0.9.5-cu118", Image("lmi", "0.23.0")),
        (ECR + "djl-inference:0.25.0-deepspeed0.11.0-cu118", Image("lmi", "0.25.0")),
        (ECR + "djl-inference:0.38.0-lmi29.0.0-cu130", Image("lmi", "0.38.0")),
        (ECR + "djl-inference:latest", Image("lmi", "")),
        (
            "1.dkr.ecr.cn-north-1.amazonaws.com.cn/djl-inference:0.27.0-neuronx-sdk2.18.1",
            Image("lmi", "0.27.0"),
        ),
        ("ghcr.io/huggingface/text-generation-inference:3.3.6", Image("tgi", "3.3.6")),
        ("deepjavalibrary/djl-serving:0.36.0", Image("lmi", "0.36.0")),
        (ECR + "djl-inference:0.23.0-deepspeed0.9.5-cu118@sha256:" + "0" * 64, Image("lmi", "0.23.0")),
        ("localhost:5000/djl-inference", Image("lmi", "")),
        (ECR + "my-djl-inference:0.23.0-deepspeed0.9.5-cu118", Image("own")),
        (ECR + "pytorch-inference:2.0", Image("own")),
        ("", Image("own")),
    ],
)
def test_an_image_says_which_server_it_holds(uri, expected):
    assert image.parse(uri) == expected


@pytest.mark.parametrize(
    ("region", "partition"),
    [("eu-central-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("kitchen", "aws")],
)
def test_an_arn_holds_its_partition_and_a_name_in_lower_case(region, partition):
    account = Account("000000000000", region)
    assert (
        account.arn("endpoint", "My-EP") == f"arn:{partition}:sagemaker:{region}:000000000000:endpoint/my-ep"
    )


@pytest.mark.parametrize("table", [errors.SAGEMAKER, errors.SAGEMAKER_RUNTIME], ids=["control", "runtime"])
def test_every_domain_error_has_a_code(table):
    kinds = [
        kind for kind in vars(domain).values() if isinstance(kind, type) and kind is not domain.Unsupported
    ]
    for kind in kinds:
        if issubclass(kind, domain.NearstreamError):
            assert errors.translate(kind("said"), table).message == "said"


def test_the_nearest_kind_of_error_decides():
    failure = errors.translate(domain.EngineDied("gone"), errors.SAGEMAKER_RUNTIME)
    assert (failure.code, failure.status) == ("ModelError", 424)
    unsupported = errors.translate(domain.Unsupported("top_k", "scripted"), errors.SAGEMAKER_RUNTIME)
    assert (unsupported.code, unsupported.status) == ("ValidationError", 400)


def test_an_error_in_awss_words_stays_as_it_is():
    error = errors.AwsError("ModelError", "m", 424)
    assert errors.translate(error, errors.SAGEMAKER) is error
