"""The engines there are: each by its name, with the formats of models that it takes.

A new engine is a module with a function like `prepare` of `openvino.engine`, and a row here. Rows import
their engine when it is chosen, and not before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nearstream.core.errors import Unusable
from nearstream.core.models import ModelFormat
from nearstream.engines.settings import EngineSettings, PreparedEngine


@dataclass(frozen=True, slots=True)
class EngineKind:
    """The formats of models that an engine loads, and how to prepare it for one model."""

    formats: frozenset[ModelFormat]
    prepare: Callable[[EngineSettings], PreparedEngine]


def _openvino(settings: EngineSettings) -> PreparedEngine:
    from nearstream.engines.openvino.engine import prepare  # noqa: PLC0415 - only where it is chosen

    return prepare(settings)


ENGINES: Mapping[str, EngineKind] = {
    "openvino": EngineKind(frozenset({"ir", "gguf"}), _openvino),
}


def engine_kind(name: str) -> EngineKind:
    """The engine of this name. Raises Unusable."""
    if name not in ENGINES:
        raise Unusable(f"there is no engine {name!r}; one of {', '.join(sorted(ENGINES))} is wanted.")
    return ENGINES[name]
