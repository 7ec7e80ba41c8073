"""From the name of a model to its files on this machine."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from nearstream.core.errors import Unusable
from nearstream.core.models import ModelFormat
from nearstream.core.restrictions import UNRESTRICTED, Restrictions
from nearstream.models.builtin import NAME, builtin_path
from nearstream.models.convert import Converter, cached_conversion
from nearstream.models.directory import ANY_FORMAT, ModelDirectory, read_model
from nearstream.models.gguf_tokenizer import unpack_tokenizer
from nearstream.models.hub import HubId, Progress, fetch, parse_hub_id
from nearstream.models.pickles import check_pickles
from nearstream.models.weights import WeightFormat

_NAMES: dict[ModelFormat, str] = {
    "ir": "OpenVINO IR",
    "gguf": "a GGUF file",
    "hf": "a Hugging Face checkpoint",
}
_KEY_DIGITS = 16


async def resolve(
    name: str,
    *,
    formats: Collection[ModelFormat],
    cache: Path,
    weights: WeightFormat = "fp16",
    progress: Progress = lambda _: None,
    restrictions: Restrictions = UNRESTRICTED,
) -> ModelDirectory:
    """Find, fetch and convert what `name` asks for: "builtin", a path, or a hub id.

    The result is in one of `formats`, those that an engine loads. Raises Unusable saying why not.
    """
    wanted = (*formats, "hf") if "ir" in formats else tuple(formats)
    model, identity = _local(name, wanted), None
    if model is None:
        hub_id = parse_hub_id(name)
        if hub_id is None:
            raise Unusable(_nothing(name))
        restrictions.check("remote-hubs", f"{name} is not fetched from a hub")
        model, identity = await _from_hub(hub_id, wanted, progress)
    if name != NAME:
        await asyncio.to_thread(check_pickles, model.path, restrictions)
    if model.kind in formats:
        return await asyncio.to_thread(_with_tokenizer, model, cache) if model.kind == "gguf" else model
    if model.kind not in wanted:
        known = ", ".join(sorted(_NAMES[each] for each in formats))
        raise Unusable(
            f"{model.name} is {_NAMES[model.kind]}, and the engine does not load that; it loads {known}"
        )
    converter = Converter(cache)
    return await cached_conversion(converter, model, weights=weights, identity=identity, progress=progress)


def check_local(name: str) -> None:
    """Raise Unusable for a path that holds no whole model; a hub id is not looked up."""
    if _local(name, ANY_FORMAT) is None and parse_hub_id(name) is None:
        raise Unusable(_nothing(name))


def _nothing(name: str) -> str:
    return f"there is no model {name!r}: it is no path here, no hub id, and not {NAME!r}"


def _local(name: str, wanted: Collection[ModelFormat]) -> ModelDirectory | None:
    """The built-in model or what is at a path; None for a name that only a hub can know."""
    if name == NAME:
        return read_model(builtin_path(), name=NAME, wanted=wanted)
    path = Path(name).expanduser()
    if path.exists() or name.startswith((".", "/", "~")):
        return read_model(path.absolute(), wanted=wanted)
    return None


def _with_tokenizer(model: ModelDirectory, cache: Path) -> ModelDirectory:
    """A GGUF model with the files of its tokenizer, unpacked into the cache where none lie beside it."""
    if model.tokenizer is not None:
        return model
    state = model.model.stat()
    key = hashlib.sha256(f"{model.model} {state.st_size} {state.st_mtime_ns}".encode()).hexdigest()
    folder = cache / "tokenizers" / key[:_KEY_DIGITS]
    return replace(model, path=folder, tokenizer=unpack_tokenizer(model.model, folder))


async def _from_hub(
    hub_id: HubId, wanted: Collection[ModelFormat], progress: Progress
) -> tuple[ModelDirectory, str]:
    snapshot = await fetch(hub_id, progress=progress)
    path = snapshot.path / hub_id.file if hub_id.file else snapshot.path
    return read_model(path, name=hub_id.repo, wanted=wanted), f"{hub_id.repo}@{snapshot.commit}"
