"""Reads the settings of a model as DJL Serving does, with a notice for each that is not applied as given."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nearstream.config.serving.checks import IMPLIED, checked
from nearstream.config.serving.keys import OPTION, Key, find
from nearstream.config.serving.notices import notice, notices_on, shown
from nearstream.config.serving.settings import Notice, ServingSettings
from nearstream.config.serving.sources import Given, given, model_directory
from nearstream.config.serving.values import TEXT, Value
from nearstream.core.errors import Unusable

_PLACEHOLDER = re.compile(r"\{[^{}]*\}|<[^<>]+>")
_FREE_FORM = ("option.chat_template", "cors_allowed_origin")
_RELEASE = re.compile(r"(\d+)\.(\d+)")
_LATEST = (0, 36)


def read_serving(
    directory: Path | None, environ: Mapping[str, str], *, version: str = ""
) -> tuple[ServingSettings, tuple[Notice, ...]]:
    """The settings of the model in `directory`, with notices for the log.

    serving.properties beats OPTION_* variables; these beat SERVING_* variables, then the short forms, then
    config.properties in the same folder. `version`: the release of LMI that is asked for; "" is the latest.
    Raises Unusable with file and line or variable, key, what came and what is wanted.
    """
    place = model_directory(directory) if directory is not None else None
    chosen, notices = _chosen(given(place, environ))
    settings = ServingSettings(place, options=_options(chosen), arguments=_arguments(chosen))
    entry = chosen.get("option.entryPoint")
    own = replace(settings, entry_point=entry.value or None if entry else None).own_handler is not None
    values: dict[str, Value] = {}
    for name, one in sorted(chosen.items(), key=lambda item: item[1].place):
        values |= _value(find(name), one, own_handler=own)
        notices += notices_on(find(name), one, own_handler=own, release=_release(version))
    values, more = checked(values, chosen, settings.directory, own_handler=own)
    return replace(settings, **values), (*notices, *more)  # type: ignore[arg-type]


def _chosen(found: Sequence[Given]) -> tuple[dict[str, Given], list[Notice]]:
    """The strongest of each setting by its name, and a notice for each other one that does not agree."""
    chosen: dict[str, Given] = {}
    notices = []
    for one in sorted(found, key=_strength):
        key = find(one.name)
        name = key.name if key else one.name
        counts = chosen.setdefault(name, one)
        if counts is not one and (counts.value != one.value or counts.rank[0] == one.rank[0]):
            because = f"{counts.name} from {counts.source} counts"
            notices.append(notice("setting given twice", one, because=because))
    return chosen, notices


def _strength(one: Given) -> tuple[int, int, int]:
    key = find(one.name)
    return one.rank[0], key.names.index(one.name) if key else 0, one.rank[1]


def _options(chosen: Mapping[str, Given]) -> dict[str, str]:
    """Under the names that were given, and under the usual ones."""
    return {
        name.removeprefix(OPTION): one.value
        for usual, one in chosen.items()
        for name in (one.name, usual)
        if name.startswith(OPTION)
    }


def _arguments(chosen: Mapping[str, Given]) -> dict[str, str]:
    of_the_model = {one.name: one for one in chosen.values() if one.of_the_model}
    return {name: one.value for name, one in of_the_model.items() if not name.startswith(OPTION)}


def _release(version: str) -> tuple[int, int]:
    found = _RELEASE.match(version)
    return (int(found[1]), int(found[2])) if found else _LATEST


def _value(key: Key | None, one: Given, *, own_handler: bool) -> dict[str, Value]:
    """What one setting fills. Raises Unusable for a wrong value, unless it is a handler's own."""
    if key is None or not one.value:
        return {}
    _filled_in(key, one)
    try:
        value = key.kind.parse(one.value)
    except ValueError as error:
        if key.own_option and own_handler:
            return {}
        raise Unusable(f"{one.source}: {one.name} is {shown(one)!r}; {key.kind.wanted} is wanted.") from error
    if key.implies[0] and value:
        return {IMPLIED + key.implies[0]: key.implies[1]}
    return {key.fills: value} if key.fills else {}


def _filled_in(key: Key, one: Given) -> None:
    if key.effective and key.kind is TEXT and key.name not in _FREE_FORM and _PLACEHOLDER.search(one.value):
        raise Unusable(
            f"{one.source}: {one.name} is {shown(one)!r}, a template's placeholder; fill it in"
            + (" with a hub's model id, an s3:// prefix or a path." if key.fills == "model_id" else ".")
        )
