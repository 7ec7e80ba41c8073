"""Checks of settings that depend on one another: handler and files, batches, workers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from nearstream.config.serving.keys import HANDLERS
from nearstream.config.serving.notices import DIFFERENT, notice
from nearstream.config.serving.settings import BUILTIN_HANDLERS, NO_ROLLING_BATCH, Notice
from nearstream.config.serving.sources import Given
from nearstream.config.serving.values import Value
from nearstream.core.errors import Unusable

IMPLIED = "implied "
_SAGEMAKER_MODEL = PurePosixPath("/opt/ml/model")
_GATHERED = "gathered requests join no rolling batch; option.rolling_batch=auto lets them join as they come"
_ASYNC = "with option.async_mode the engine batches by itself, as ours does"
_KEPT = "one worker is always kept: it takes long to load a model"

Values = dict[str, Value]


def checked(
    values: Values, chosen: Mapping[str, Given], directory: Path | None, *, own_handler: bool
) -> tuple[Values, tuple[Notice, ...]]:
    """The fields of ServingSettings as they fit together. Raises Unusable for what cannot be."""
    implied = {
        name.removeprefix(IMPLIED): value for name, value in values.items() if name.startswith(IMPLIED)
    }
    stated = {name: value for name, value in values.items() if not name.startswith(IMPLIED)}
    filled = implied | stated
    _check_entry_point(filled, chosen, directory)
    notices = [*_workers(filled, chosen)]
    if not own_handler:
        notices += _batches(filled, implied, chosen)
    _own_place(filled, directory)
    return filled, tuple(notices)


def _check_entry_point(values: Values, chosen: Mapping[str, Given], directory: Path | None) -> None:
    entry = values.get("entry_point")
    if not isinstance(entry, str):
        return
    given = chosen["option.entryPoint"]
    where = f"{given.source}: {given.name} is {entry!r}"
    if entry.startswith(BUILTIN_HANDLERS):
        if entry.removeprefix(BUILTIN_HANDLERS).removesuffix(".py").lower() not in HANDLERS:
            names = ", ".join(BUILTIN_HANDLERS + name for name in HANDLERS)
            raise Unusable(f"{where}; one of {names}, or a file like model.py is wanted.")
    elif "://" in entry:
        raise Unusable(f"{where}; nothing is fetched from there: put the file beside serving.properties.")
    elif entry.endswith(".py") and (directory is None or not _is_file(directory / entry)):
        raise Unusable(f"{where}; there is no such file in {directory or 'the model data: none was given'}.")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no name that a file could have
        return False


def _batches(values: Values, implied: Values, chosen: Mapping[str, Given]) -> list[Notice]:
    batching = chosen.get("option.rolling_batch")
    size = values.get("batch_size", 1)
    if batching and values.get("rolling_batch") == NO_ROLLING_BATCH and "rolling_batch" in implied:
        values["rolling_batch"] = implied["rolling_batch"]
        return [notice(DIFFERENT, batching, because=_ASYNC)]
    if isinstance(size, int) and size > 1 and "rolling_batch" not in values:
        values["rolling_batch"] = NO_ROLLING_BATCH
        return [notice(DIFFERENT, chosen["batch_size"], because=_GATHERED)]
    return []


def _workers(values: Values, chosen: Mapping[str, Given]) -> list[Notice]:
    low, high = values.get("min_workers"), values.get("max_workers")
    notices = []
    if low == 0:
        notices.append(notice(DIFFERENT, chosen["minWorkers"], because=_KEPT))
        low = values["min_workers"] = 1
    if isinstance(low, int) and isinstance(high, int) and low > high:
        given, other = chosen["minWorkers"], chosen["maxWorkers"]
        raise Unusable(
            f"{given.source}: {given.name} is {low}; "
            f"at most {high}, which is {other.name} from {other.source}, is wanted."
        )
    if high is None and low is not None:
        values["max_workers"] = low
    return notices


def _own_place(values: Values, directory: Path | None) -> None:
    """Where a container has the model's data is here the model's directory."""
    model_id = values.get("model_id")
    if directory is None or not isinstance(model_id, str):
        return
    path = PurePosixPath(model_id)
    if path == _SAGEMAKER_MODEL:
        values["model_id"] = None
    elif path.is_relative_to(_SAGEMAKER_MODEL):
        values["model_id"] = str(directory / path.relative_to(_SAGEMAKER_MODEL))
