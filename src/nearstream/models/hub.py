"""Fetches a model from a Hugging Face hub.

The library reads HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE and HF_HOME itself.
"""

from __future__ import annotations

import asyncio
import errno
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import errors, snapshot_download

from nearstream.core.errors import Unusable

Progress = Callable[[str], None]

# Weights that run no code when read, and what describes them. Never *.pt or pytorch_model*.bin: both are
# pickles; never *.py.
WANTED = (
    "*.safetensors",
    "*.json",
    "*.jinja",
    "*.model",
    "merges.txt",
    "vocab.txt",
    "openvino_*.xml",
    "openvino_*.bin",
)
UNWANTED = ("*/*", "consolidated*.safetensors")

_HUB_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:/(?P<file>[\w.-]+\.gguf))?(?:@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True, slots=True)
class HubId:
    """ "org/name", "org/name@revision" or "org/name/file.gguf"."""

    repo: str
    revision: str | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The fetched files and the commit they are of."""

    path: Path
    commit: str


def parse_hub_id(name: str) -> HubId | None:
    """A hub id, or None where `name` is none."""
    match = _HUB_ID.fullmatch(name)
    if match is None or ".." in name:
        return None
    return HubId(match["repo"], match["revision"], match["file"])


def with_revision(model: str, revision: str | None) -> str:
    """`model` at `revision`, where it is a hub id that names none itself; a path stays as it is."""
    hub_id = None if revision is None or Path(model).exists() else parse_hub_id(model)
    return model if hub_id is None or hub_id.revision is not None else f"{model}@{revision}"


async def fetch(wanted: HubId, *, progress: Progress) -> Snapshot:
    """Bring the files here, or find them in the hub's cache. Raises Unusable with the one reason."""
    progress(f"fetching {wanted.repo}")
    patterns = [wanted.file, "*.json"] if wanted.file else list(WANTED)
    try:
        path = await asyncio.to_thread(
            snapshot_download,
            wanted.repo,
            revision=wanted.revision,
            allow_patterns=patterns,
            ignore_patterns=list(UNWANTED),
        )
    except Exception as error:  # the transport errors of the library have no public name
        raise Unusable(_reason(wanted, error)) from error
    found = Path(str(path))
    progress(f"fetched {wanted.repo}")
    return Snapshot(found, found.name)


_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (errors.GatedRepoError, "is gated: accept its terms on the hub and set HF_TOKEN"),
    (errors.RevisionNotFoundError, "has no such revision"),
    (errors.RepositoryNotFoundError, "is not on the hub, or is private and HF_TOKEN does not open it"),
    (errors.OfflineModeIsEnabled, "is not in the cache, and HF_HUB_OFFLINE forbids fetching it"),
    (errors.LocalEntryNotFoundError, "is not in the cache, and the hub cannot be reached"),
)


def _reason(wanted: HubId, error: Exception) -> str:
    name = wanted.repo + (f"@{wanted.revision}" if wanted.revision else "")
    # Without a cached copy the library says so, and what kept it from the hub is that error's cause.
    cause = error.__cause__
    shown = cause if isinstance(cause, errors.HfHubHTTPError | errors.OfflineModeIsEnabled) else error
    for kind, reason in _REASONS:
        if isinstance(shown, kind):
            return f"{name} {reason}"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"{name} could not be fetched: the disk is full"
    lines = str(shown).strip().splitlines()
    return f"{name} could not be fetched: {lines[0] if lines else type(shown).__name__}"
