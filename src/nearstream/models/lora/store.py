"""From the source of a LoRA adapter to a file that an engine loads."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from nearstream.core.errors import Unusable
from nearstream.core.restrictions import UNRESTRICTED, Restrictions
from nearstream.formats import safetensors
from nearstream.models.hub import Progress, fetch, parse_hub_id
from nearstream.models.lora.modules import Modules
from nearstream.models.lora.peft import Change, read_adapter

_log = structlog.get_logger(__name__)


@contextmanager
def adapter_store(
    cache: Path, base: Modules, restrictions: Restrictions = UNRESTRICTED
) -> Iterator[AdapterStore]:
    """A store for the adapters of one model; its folder below `cache` goes when the block is left."""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="adapters-", dir=cache) as folder:
        yield AdapterStore(
            base,
            Path(folder),
            lambda text: _log.info("preparing an adapter", progress=text),
            restrictions,
        )


class AdapterStore:
    """Prepares adapters for one model, in a folder of the server's own."""

    def __init__(
        self, base: Modules, folder: Path, progress: Progress, restrictions: Restrictions = UNRESTRICTED
    ) -> None:
        self._restrictions = restrictions
        self._base = base
        self._folder = folder
        self._progress = progress
        self._numbers = itertools.count(1)

    async def prepare(self, source: str) -> Path:
        """A file as `AdapterHost.load_adapter` takes it, from a folder or a hub id.

        The caller removes it when it is no longer loaded. Raises Unusable.
        """
        if not self._base:
            raise Unusable(
                "this model takes no adapters: only one in OpenVINO's or Hugging Face's format tells what "
                "its modules are called, a GGUF file does not"
            )
        folder = await asyncio.to_thread(_local, source) or await self._fetched(source)
        target = self._folder / f"{next(self._numbers)}.safetensors"
        await asyncio.to_thread(_write, folder, self._base, target)
        return target

    async def _fetched(self, source: str) -> Path:
        hub_id = parse_hub_id(source)
        if hub_id is None or hub_id.file is not None:
            raise Unusable(f"there is no adapter {source!r}: it is no path here and no hub id")
        self._restrictions.check("remote-hubs", f"the adapter {source} is not fetched from a hub")
        return (await fetch(hub_id, progress=self._progress)).path


def _local(source: str) -> Path | None:
    try:
        path = Path(source).expanduser()
        here = path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise Unusable(f"there is no adapter {source!r}: {error}") from error
    return path.absolute() if here or source.startswith((".", "/", "~")) else None


def _write(folder: Path, base: Modules, target: Path) -> None:
    changes = read_adapter(folder, base)
    with target.open("wb") as file:
        for part in safetensors.encode(_tensors(changes)):
            file.write(part)


def _tensors(changes: dict[str, Change]) -> dict[str, safetensors.Tensor]:
    return {
        f"base_model.model.{module}.{half}.weight": safetensors.Tensor("F32", matrix.shape, matrix.tobytes())
        for module, change in changes.items()
        for half, matrix in (("lora_A", change.first), ("lora_B", change.second))
    }
