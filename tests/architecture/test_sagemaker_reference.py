"""The page of operations is what the code does, and every member of a request is known to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_type_hints

import msgspec
import pytest
from botocore.model import Shape
from tests.architecture import sagemaker_operations
from tests.architecture.sagemaker_operations import SERVICES, structs_in

from nearstream.services.service import Operation
from nearstream.wire.aws import service

CONTROL = SERVICES[0]
MODEL = service.load("sagemaker", CONTROL.operations)


def test_the_page_of_operations_is_current():
    assert sagemaker_operations.PAGE.read_text() == sagemaker_operations.page(), (
        "write it again: python -m tests.architecture.sagemaker_operations"
    )


@pytest.mark.parametrize("name", sorted(CONTROL.operations))
def test_every_member_of_a_request_is_read(name: str):
    assert list(unread(CONTROL.operations[name].input, MODEL.operation(name).input_shape, name)) == []


def unread(struct: type[msgspec.Struct], shape: Shape, at: str) -> Iterator[str]:
    """The members of the shape that the type has no field for."""
    while shape.type_name == "list":
        shape = shape.member
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    for name, member in shape.members.items():
        if name not in fields:
            yield f"{at}.{name}"
            continue
        for inner in structs_in(get_type_hints(struct)[fields[name].name]):
            yield from unread(inner, member, f"{at}.{name}")


def test_every_operation_that_is_refused_by_name_is_one_of_aws():
    for each in SERVICES:
        described = service.load(each.name)
        assert each.refused.keys() <= described.all_operations
        assert not each.refused.keys() & (each.operations.keys() | each.relayed)


def test_an_operation_reads_its_input_to_its_type():
    operation = CONTROL.operations["CreateEndpoint"]
    assert isinstance(operation, Operation)
    read = msgspec.convert({"EndpointName": "e", "EndpointConfigName": "c"}, type=operation.input)
    assert (read.endpoint_name, read.tags) == ("e", [])
