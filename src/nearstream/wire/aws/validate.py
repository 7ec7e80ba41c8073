"""Checks an operation's input against its shape, in the words that AWS says it in.

Types are checked first, since a document of the wrong types cannot be read at all (SerializationException);
then the constraints, all of them, in one message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from botocore.model import Shape

from nearstream.core.errors import Invalid
from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.service import Value

LENIENT: Final = frozenset({"ProductionVariantInstanceType", "ProductionVariantAcceleratorType", "RoleArn"})
"""Shapes whose constraints name what only AWS has; newer values must pass."""

_MAY_BE_EMPTY: Final = frozenset({"S3ModelUri", "Url"})
"""Shapes of which SageMaker's own SDK sends an empty string for none."""

_PATTERN_LIMIT: Final = 16_384
"""Longer strings are held to their length alone: a pattern could take too long over them."""


def check(shape: Shape | None, document: Mapping[str, Any], *, lenient: frozenset[str] = LENIENT) -> None:
    """Raise Invalid for what breaks a constraint; members that the shape does not know are ignored.

    `document` is keyed by member names, as `serialise.from_json` gives it.
    """
    if shape is not None:
        refuse(list(_violations(shape, document, "", lenient)))


def refuse(violations: Sequence[str]) -> None:
    """Raise Invalid with all `violations`, counted; with none of them, do nothing."""
    if violations:
        count = "1 validation error" if len(violations) == 1 else f"{len(violations)} validation errors"
        raise Invalid(f"{count} detected: {'; '.join(violations)}")


def violation(value: object, at: str, constraint: str) -> str:
    """One broken constraint, as AWS says it."""
    shown = "null" if value is None else f"'{_show(value)}'"
    return f"Value {shown} at '{at}' failed to satisfy constraint: {constraint}"


def check_type(shape: Shape, value: object) -> None:
    """Raise AwsError SerializationException where the JSON `value` is not of its shape's type."""
    kind = shape.type_name
    if not _JSON_TYPES[kind](value):
        raise AwsError("SerializationException", _mismatch(kind, value), 400)
    if isinstance(value, Mapping):
        if kind == "map":
            for item in value.values():
                _check_member(shape.value, item)
        else:
            for name, member in shape.members.items():
                _check_member(member, value.get(member.serialization.get("name", name)))
    elif isinstance(value, list):
        for item in value:
            _check_member(shape.member, item)


def _check_member(shape: Shape, value: object) -> None:
    if value is not None:
        check_type(shape, value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_float(value: object) -> bool:
    return _is_number(value) or value in ("NaN", "Infinity", "-Infinity")


def _is_whole(value: object, *, bits: int) -> bool:
    if isinstance(value, float):
        return value.is_integer() and abs(value) < 2 ** (bits - 1)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2 ** (bits - 1)


_JSON_TYPES: Final[Mapping[str, Callable[[object], bool]]] = {
    "structure": lambda value: isinstance(value, Mapping),
    "map": lambda value: isinstance(value, Mapping),
    "list": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "character": lambda value: isinstance(value, str),
    "blob": lambda value: isinstance(value, (str, bytes)),
    "boolean": lambda value: isinstance(value, bool),
    "integer": partial(_is_whole, bits=32),
    "long": partial(_is_whole, bits=64),
    "float": _is_float,
    "double": _is_float,
    "timestamp": lambda value: _is_number(value) or isinstance(value, str),
}
_TOKENS: Final = {str: "STRING_VALUE", int: "NUMBER_VALUE", float: "NUMBER_VALUE"}
_CLASSES: Final = {
    "structure": "Structure",
    "boolean": "Boolean",
    "blob": "ByteBuffer",
    "timestamp": "Timestamp",
}


def _mismatch(kind: str, value: object) -> str:
    if isinstance(value, Mapping):
        return "Start of structure or map found where not expected."
    if isinstance(value, list):
        return "Start of list found where not expected"
    if kind in ("structure", "map", "list"):
        return f"Unexpected token received from parser: a {kind} was expected"
    token = (
        str(value).upper() + "_VALUE" if isinstance(value, bool) else _TOKENS.get(type(value), "NULL_VALUE")
    )
    return f"{token} cannot be converted to {_CLASSES.get(kind, kind.capitalize())}"


def _violations(shape: Shape, value: Value, at: str, lenient: frozenset[str]) -> Iterator[str]:
    for constraint in _constraints(shape, value, lenient):
        yield violation(value, at, constraint)
    if isinstance(value, Mapping):
        walk = _map_violations if shape.type_name == "map" else _structure_violations
        yield from walk(shape, value, at, lenient)
    elif isinstance(value, list):
        yield from _list_violations(shape, value, at, lenient)


def _structure_violations(
    shape: Shape, value: Mapping[str, Any], at: str, lenient: frozenset[str]
) -> Iterator[str]:
    for name in shape.required_members:
        if value.get(name) is None:
            yield violation(None, _join(at, name), "Member must not be null")
    for name, member in shape.members.items():
        if value.get(name) is not None:
            yield from _violations(member, value[name], _join(at, name), lenient)


def _list_violations(shape: Shape, value: list[Any], at: str, lenient: frozenset[str]) -> Iterator[str]:
    member = shape.member
    for number, item in enumerate(value, 1):
        if item is None:
            yield violation(None, f"{at}.{number}.member", "Member must not be null")
        elif member.type_name in ("structure", "list", "map"):
            yield from _violations(member, item, f"{at}.{number}.member", lenient)
        elif any(_constraints(member, item, lenient)):
            yield violation(value, at, f"Member must satisfy constraint: [{_all_constraints(member)}]")
            return


def _map_violations(
    shape: Shape, value: Mapping[str, Any], at: str, lenient: frozenset[str]
) -> Iterator[str]:
    if any(any(_constraints(shape.key, key, lenient)) for key in value):
        yield violation(value, at, f"Map keys must satisfy constraint: [{_all_constraints(shape.key)}]")
    nested = shape.value.type_name in ("structure", "list", "map")
    if nested:
        for key, item in value.items():
            yield from _violations(shape.value, item, f"{at}.{key}.member", lenient)
    elif any(item is None or any(_constraints(shape.value, item, lenient)) for item in value.values()):
        yield violation(value, at, f"Map value must satisfy constraint: [{_all_constraints(shape.value)}]")


def _join(at: str, name: str) -> str:
    """AWS names members in lowerCamelCase there: productionVariants.1.member.variantName."""
    lower = name[:1].lower() + name[1:]
    return f"{at}.{lower}" if at else lower


def _show(value: object) -> str:
    """A value as Java prints it, cut short; the values of a map may be secrets and are not shown."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}=***" for key in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_show(item) for item in value) + "]"
    return str(value)[:1024]


def _constraints(shape: Shape, value: Value, lenient: frozenset[str]) -> Iterator[str]:
    """The constraints of the shape itself that `value` breaks."""
    if shape.name in lenient or (value == "" and shape.name in _MAY_BE_EMPTY):
        return
    for text, holds in _rules(shape):
        if not holds(value):
            yield text


def _all_constraints(shape: Shape) -> str:
    return ", ".join(text for text, _ in _rules(shape))


def _rules(shape: Shape) -> Iterator[tuple[str, Callable[[Value], bool]]]:
    metadata = shape.metadata
    size, noun = (_number, "value") if shape.type_name in _NUMBERS else (len, "length")
    if "max" in metadata:
        limit = metadata["max"]
        yield f"Member must have {noun} less than or equal to {limit}", lambda value: size(value) <= limit
    if "min" in metadata:
        least = metadata["min"]
        yield f"Member must have {noun} greater than or equal to {least}", lambda value: size(value) >= least
    if pattern := metadata.get("pattern"):
        yield f"Member must satisfy regular expression pattern: {pattern}", partial(_matches, pattern)
    if enum := metadata.get("enum"):
        yield f"Member must satisfy enum value set: [{', '.join(enum)}]", enum.__contains__


_NUMBERS: Final = frozenset({"integer", "long", "float", "double"})


def _number(value: int | float | str) -> float:
    return float(value)


_JAVA: Final = {
    # Java's \S is of ASCII's blanks alone, Python's of those of all scripts.
    r"\A\S": r"\A[^ \t\n\x0b\f\r]",
    r"[\p{Print}]": r"[ -~]",
    r"\p{ASCII}": r"[\x00-\x7f]",
    r"\p{Alnum}": "A-Za-z0-9",
    r"\p{L}": r"\w",
    r"\p{N}": r"\d",
    r"\p{Z}": r" \u00a0\u2000-\u200a\u3000",
    r"\z": r"\Z",
}
"""What Java writes in the models' patterns, and the nearest that Python reads."""


def _matches(pattern: str, value: str) -> bool:
    """Whether all of `value` matches, as Java means it; a pattern that Python cannot read holds for all."""
    if len(value) > _PATTERN_LIMIT:
        return True
    for java, python in _JAVA.items():
        pattern = pattern.replace(java, python)
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:
        return True
