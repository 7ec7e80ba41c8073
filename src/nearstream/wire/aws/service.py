"""One AWS service as botocore's model describes it, cut down to the operations we answer."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape

from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.signed_request import RawRequest

Document = dict[str, Any]
"""An operation's input or output as its shape names it; services parse it to core values at once."""

Value = Any
"""Any one value of a Document: what it may be is its shape's to say, at run time."""


@dataclass(frozen=True, slots=True)
class Route:
    """One operation's HTTP method and URI template, as a regular expression over the raw path.

    `fixed` are the names of the template's query, which tell operations of one path apart.
    """

    operation: str
    method: str
    pattern: re.Pattern[str]
    fixed: frozenset[str] = frozenset()

    def match(self, method: str, path: str, query: str) -> re.Match[str] | None:
        if self.method != method or not self.fixed <= _names(query):
            return None
        return self.pattern.fullmatch(path)


class UnknownOperation(AwsError):
    """An operation that is not served; `operation` is its name, or its method and path."""

    def __init__(self, operation: str, message: str, status: int = 400) -> None:
        super().__init__("UnknownOperationException", message, status)
        self.operation = operation


@dataclass(frozen=True, slots=True)
class Call:
    """A request of an operation: its name and its input, checked against its shape."""

    operation: str
    document: Document


@dataclass(frozen=True, slots=True)
class ServiceDescription:
    """A service: its model with the operations that are served, and the routes of all that it has at AWS.

    `refused` says, of operations that are not served, why not; `statuses` are those of its modelled errors.
    """

    name: str
    model: ServiceModel
    signing_name: str
    protocols: tuple[str, ...]
    target_prefix: str
    all_operations: frozenset[str]
    routes: tuple[Route, ...]
    statuses: Mapping[str, int]
    refused: Mapping[str, str]

    def operation(self, name: str) -> OperationModel:
        """Raises UnknownOperation, which says why the operation is not served."""
        if name in self.model.operation_names:
            return self.model.operation_model(name)
        why = "which only AWS answers" if name in self.all_operations else "which does not exist"
        reason = self.refused.get(name)
        raise UnknownOperation(
            name[:200],
            f"{self.name} is served here without '{name[:200]}', {why}" + (f": {reason}" if reason else "."),
        )

    def takes(self, request: RawRequest) -> bool:
        """Whether the service has the request's target, or its path where it names no target."""
        prefix, _, _ = request.header("x-amz-target").rpartition(".")
        if prefix or self.target_prefix:
            return prefix == self.target_prefix
        return any(route.match(request.method, request.path, request.query) for route in self.routes)

    def match(self, method: str, path: str, query: str = "") -> tuple[str, dict[str, str]]:
        """The operation at a raw path and query, and its labels percent-decoded. Raises UnknownOperation."""
        for route in self.routes:
            if found := route.match(method, path, query):
                self.operation(route.operation)
                return route.operation, {name: unquote(value) for name, value in found.groupdict().items()}
        where = f"{method} {path[:200]}"
        raise UnknownOperation(where, f"{self.name} has nothing at {where}", 404)


def load(
    name: str, operations: Collection[str] | None = None, refused: Mapping[str, str] | None = None
) -> ServiceDescription:
    """Read `name` from botocore's data. With `operations`, shapes that no other needs are let go.

    Reads and parses a file: 10 ms for most services, 100 ms for sagemaker, so call it once and off the loop.
    """
    return describe(name, Loader().load_service_model(name, "service-2"), operations, refused)


def describe(
    name: str,
    document: Mapping[str, Any],
    operations: Collection[str] | None = None,
    refused: Mapping[str, str] | None = None,
) -> ServiceDescription:
    """The description that a service model's `document` holds."""
    known = frozenset(document["operations"])
    wanted = known if operations is None else known & set(operations)
    routes = _routes(document["operations"])
    document = dict(document)
    document["operations"] = {key: document["operations"][key] for key in sorted(wanted)}
    document["shapes"] = _reachable(document)
    model, metadata = ServiceModel(document, name), document["metadata"]
    return ServiceDescription(
        name=name,
        model=model,
        signing_name=metadata.get("signingName", metadata.get("endpointPrefix", name)),
        protocols=tuple(metadata.get("protocols", [metadata["protocol"]])),
        target_prefix=metadata.get("targetPrefix", ""),
        all_operations=known,
        routes=routes,
        statuses={
            **{shape.error_code: _status(shape) for shape in model.error_shapes},
            **_STATUSES.get(name, {}),
        },
        refused=refused or {},
    )


_STATUSES: Final[Mapping[str, Mapping[str, int]]] = {"sagemaker-runtime": {"ThrottlingException": 429}}
"""What AWS answers where its model does not say."""


def _status(error: Shape) -> int:
    return int(error.metadata.get("error", {}).get("httpStatusCode", 400))


def _reachable(document: Mapping[str, Any]) -> dict[str, Any]:
    """The shapes that the operations name, and those that these name in turn, without their prose."""
    kept: dict[str, Any] = {}
    waiting = [name for operation in document["operations"].values() for name in _shapes_named(operation)]
    while waiting:
        name = waiting.pop()
        if name not in kept:
            shape = {key: value for key, value in document["shapes"][name].items() if key != "documentation"}
            kept[name] = shape
            waiting += _shapes_named(shape)
    return kept


def _shapes_named(node: object) -> list[str]:
    if isinstance(node, list):
        return [name for item in node for name in _shapes_named(item)]
    if not isinstance(node, dict):
        return []
    own = [node["shape"]] if isinstance(node.get("shape"), str) else []
    return own + [name for value in node.values() for name in _shapes_named(value)]


def _routes(operations: Mapping[str, Any]) -> tuple[Route, ...]:
    """Longest template first, so that a literal segment wins over a label, and a query over none."""
    templates = {name: operation["http"] for name, operation in operations.items()}
    ordered = sorted(templates.items(), key=lambda item: -len(item[1]["requestUri"]))
    return tuple(_route(name, http["method"], http["requestUri"]) for name, http in ordered)


def _route(name: str, method: str, template: str) -> Route:
    path, _, query = template.partition("?")
    return Route(name, method, _pattern(path), _names(query))


def _names(query: str) -> frozenset[str]:
    return frozenset(pair.partition("=")[0] for pair in query.split("&")) if query else frozenset()


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+\+?)\}", template)
    labels = [f"(?P<{label.rstrip('+')}>{'.+' if label.endswith('+') else '[^/]+'})" for label in parts[1::2]]
    literals = [re.escape(literal) for literal in parts[::2]]
    return re.compile(literals[0] + "".join(map("".join, zip(labels, literals[1:], strict=True))))
