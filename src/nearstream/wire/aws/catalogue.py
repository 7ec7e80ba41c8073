"""All of AWS's services, as botocore's models name them: by signing name and by X-Amz-Target.

Only the head of each model is read, which says the protocols. The operations of a service that is not served
matter only to tell it from others that sign alike.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from botocore.loaders import Loader

from nearstream.wire.aws import service as service_model
from nearstream.wire.aws.service import ServiceDescription
from nearstream.wire.aws.signed_request import RawRequest

_HEAD_CHARS: Final = 16 * 1024
_CBOR_PATH: Final = re.compile(r"/service/([^/]+)/operation/[^/]+")
_FORM_PROTOCOLS: Final = frozenset({"query", "ec2"})


@dataclass(frozen=True, slots=True)
class AwsService:
    """What errors in a service's own protocol need to know."""

    name: str
    signing_name: str
    protocols: tuple[str, ...]
    target_prefix: str = ""
    json_version: str = "1.1"
    namespace: str = ""


class Catalogue:
    """Finds the service that a request is for."""

    def __init__(self, services: Iterable[AwsService]) -> None:
        self._by_signing_name: dict[str, list[AwsService]] = {}
        self._by_target: dict[str, AwsService] = {}
        self._descriptions: dict[str, ServiceDescription] = {}
        for service in services:
            self._by_signing_name.setdefault(service.signing_name, []).append(service)
            if service.target_prefix:
                self._by_target[service.target_prefix] = service

    def find(self, signing_name: str, request: RawRequest) -> AwsService | None:
        """The service of a request with that name in its credential scope; None where AWS has none.

        Of several that sign alike, the one that has the request's target, form or path.
        """
        target, _, _ = request.header("x-amz-target").rpartition(".")
        in_path = _CBOR_PATH.fullmatch(request.path)
        found = self._by_target.get(in_path[1] if in_path else target)
        if found is not None:
            return found
        alike = self._by_signing_name.get(signing_name, [])
        if len(alike) > 1:
            alike = [one for one in alike if self._could_be(one, request)]
        return min(alike, key=lambda one: one.name != signing_name, default=None)

    def _could_be(self, service: AwsService, request: RawRequest) -> bool:
        if not _FORM_PROTOCOLS.isdisjoint(service.protocols):
            return request.header("content-type").startswith("application/x-www-form-urlencoded")
        if service.name not in self._descriptions:
            self._descriptions[service.name] = service_model.load(service.name, ())
        return self._descriptions[service.name].takes(request)


def load() -> Catalogue:
    """Read the heads of botocore's models: a third of a second, so call it once and off the loop."""
    return Catalogue(_services(Loader()))


def _services(loader: Loader) -> Iterator[AwsService]:
    for root in loader.search_paths:
        for folder in sorted(Path(root).glob("*")):
            models = sorted(folder.glob("*/service-2.json*"))
            metadata = _metadata(models[-1]) if models else {}
            if "protocol" in metadata:
                yield _service(folder.name, metadata)


def _metadata(path: Path) -> Mapping[str, Any]:
    """The model's `metadata`, which stands at its beginning; empty where it does not."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open() as model:
        head = model.read(_HEAD_CHARS)
    at = head.find("{", head.find('"metadata"'))
    try:
        metadata, _ = json.JSONDecoder().raw_decode(head, at)
    except ValueError:
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _service(name: str, metadata: Mapping[str, Any]) -> AwsService:
    return AwsService(
        name=name,
        signing_name=metadata.get("signingName", metadata.get("endpointPrefix", name)),
        protocols=tuple(metadata.get("protocols", [metadata["protocol"]])),
        target_prefix=metadata.get("targetPrefix", ""),
        json_version=metadata.get("jsonVersion", "1.1"),
        namespace=metadata.get("xmlNamespace", ""),
    )
