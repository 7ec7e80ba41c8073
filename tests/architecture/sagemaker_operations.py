"""Writes docs/reference/sagemaker/operations.md: `python -m tests.architecture.sagemaker_operations`."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
from botocore.model import Shape

from nearstream.core.accounts import Account
from nearstream.services.ecr import service as ecr
from nearstream.services.iam import service as iam
from nearstream.services.logs import service as logs
from nearstream.services.runtime import service as runtime
from nearstream.services.sagemaker import service as sagemaker
from nearstream.services.service import KEPT, REFUSED, Service
from nearstream.services.sts import service as sts
from nearstream.wire.aws import service

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "sagemaker" / "operations.md"
_ACCOUNT = Account("000000000000", "us-east-1")
SERVICES = (
    sagemaker.service(None, _ACCOUNT, lambda: 0.0),
    runtime.SERVICE,
    sts.service(_ACCOUNT, None),
    iam.service(_ACCOUNT),
    logs.service(_ACCOUNT, None),
    ecr.service(_ACCOUNT, lambda: 0.0),
)
HEAD = """# Operations and members

Every operation that is served, and every member of its input.

- *served*: it does what AWS documents
- *kept*: it is checked, Describe returns it, and it changes nothing here
- *refused*: a call that uses it gets an error that names it

Operations that are not listed answer `UnknownOperationException`; so does every service that is not listed,
in its own protocol. This page is written from the code and from botocore's models.
"""


def page() -> str:
    return HEAD + "".join(_section(each) for each in SERVICES)


def _section(each: Service) -> str:
    lines = ["", f"## {each.name}", "", "| operation | served | kept | refused |", "|---|---|---|---|"]
    model = service.load(each.name)
    for name in sorted(each.operations.keys() | each.relayed):
        effects = _effects(each, name, model.operation(name).input_shape)
        columns = [_listed(effects, effect) for effect in ("served", KEPT, REFUSED)]
        lines.append(f"| {name} | {' | '.join(columns)} |")
    lines += ["", "| not served | why |", "|---|---|"]
    lines += [f"| {name} | {reason} |" for name, reason in sorted(each.refused.items())]
    return "\n".join([*lines, ""])


def _listed(effects: dict[str, str], wanted: str) -> str:
    return ", ".join(f"`{name}`" for name, effect in effects.items() if effect == wanted)


def _effects(each: Service, operation: str, shape: Shape) -> dict[str, str]:
    if operation in each.relayed:
        rules = dict.fromkeys(runtime.REFUSED_MEMBERS, REFUSED) | dict.fromkeys(runtime.KEPT_MEMBERS, KEPT)
        return {name: rules.get(name, "served") for name in shape.members}
    known = dict(members(each.operations[operation].input))
    return {name: effect for name, effect in known.items() if _has(shape, name.split("."))}


def _has(shape: Shape, path: list[str]) -> bool:
    """Whether the shape has the member; a List's input type has those of every List."""
    while shape.type_name == "list":
        shape = shape.member
    if path[0] not in shape.members:
        return False
    return len(path) == 1 or _has(shape.members[path[0]], path[1:])


def members(struct: type[Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The members that a type reads, nested ones as `Outer.Inner`, and what becomes of each."""
    hints = get_type_hints(struct, include_extras=True)
    for field in msgspec.structs.fields(struct):
        hint, name = hints[field.name], prefix + field.encode_name
        extra = next((one.extra for one in get_args(hint)[1:] if isinstance(one, msgspec.Meta)), None)
        yield name, (extra or {}).get("effect", "served")
        for inner in structs_in(hint):
            yield from members(inner, f"{name}.")


def structs_in(hint: Any) -> Iterator[type[msgspec.Struct]]:
    """The structs that a type holds."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        yield hint
    elif get_origin(hint) in (list, Annotated, types.UnionType, Union):
        for inner in get_args(hint):
            yield from structs_in(inner)


if __name__ == "__main__":
    PAGE.write_text(page())
