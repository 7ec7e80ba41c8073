"""Image URIs."""

import pytest

from nearstream.fleet import images
from nearstream.fleet.images import Image

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
    assert images.parse(uri) == expected
