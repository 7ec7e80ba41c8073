"""The endpoint that `nearstream up` makes: `assistant`, on the model that was asked for."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

from nearstream.client.control_plane import ControlPlane
from nearstream.core.errors import CallFailed, Unusable

NAME = "assistant"
ROLE = "arn:aws:iam::{account}:role/nearstream"
IMAGE = (
    "763104351884.dkr.ecr.{region}.amazonaws.com/"
    "huggingface-pytorch-tgi-inference:2.7.0-tgi3.3.6-gpu-py311-cu124-ubuntu22.04"
)
POLL_S = 0.1


async def ensure(control: ControlPlane, *, model: str, account: str, region: str) -> None:
    """Create `assistant` on `model`, or move the one that is there to it; a failed one is made anew."""
    config = f"{NAME}-{hashlib.sha256(model.encode()).hexdigest()[:12]}"
    role = ROLE.format(account=account)
    container = {"Image": IMAGE.format(region=region), "Environment": {"HF_MODEL_ID": model}}
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": config,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    await _create(
        control, "Model", {"ModelName": config, "PrimaryContainer": container, "ExecutionRoleArn": role}
    )
    await _create(control, "EndpointConfig", {"EndpointConfigName": config, "ProductionVariants": [variant]})
    members = {"EndpointName": NAME, "EndpointConfigName": config}
    status, running = await _described(control)
    if status == "Failed":
        await control.call("DeleteEndpoint", {"EndpointName": NAME})
        while status is not None:
            await asyncio.sleep(POLL_S)
            status, running = await _described(control)
    if status is None:
        await control.call("CreateEndpoint", members)
    elif running != config:
        await control.call("UpdateEndpoint", members)


async def until_ready(control: ControlPlane, progress: Callable[[str], None]) -> None:
    """Wait until `assistant` has a ready replica: InService it may be from an earlier run.

    Raises Unusable with its FailureReason when it cannot be started.
    """
    while True:
        found = [each for each in (await control.status())["endpoints"] if each["name"] == NAME]
        status = found[0]["status"] if found else "Creating"
        if status == "Failed":
            raise Unusable(f"The endpoint {NAME!r} could not be started. {found[0]['failure_reason']}")
        if status == "InService" and any(replica["state"] == "Ready" for replica in found[0]["replicas"]):
            return
        progress(status)
        await asyncio.sleep(POLL_S)


async def _create(control: ControlPlane, kind: str, members: dict[str, object]) -> None:
    try:
        await control.call(f"Create{kind}", members)
    except CallFailed as error:
        if "already existing" not in error.message:
            raise


async def _described(control: ControlPlane) -> tuple[str | None, str | None]:
    try:
        answer = await control.call("DescribeEndpoint", {"EndpointName": NAME})
    except CallFailed as error:
        if "Could not find" in error.message:
            return None, None
        raise
    return answer["EndpointStatus"], answer["EndpointConfigName"]
