"""Notices for the log: one for each setting that is not applied as given."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from nearstream.config.serving.keys import OPTION, TEXT_ONLY, Key
from nearstream.config.serving.keys import nearest as nearest_known
from nearstream.config.serving.settings import Notice
from nearstream.config.serving.sources import Given

DIFFERENT = "setting means something else here"
_TO_THE_HANDLER = "the handler gets it as an init property"
_SECRET = re.compile(
    r"(^|[._])(env|token|secret|pass(word|wd)?|credentials?|(api|access)_?key)$", re.IGNORECASE
)
_SHOWN_CHARACTERS = 200


def notices_on(
    key: Key | None, one: Given, *, own_handler: bool, release: tuple[int, int]
) -> Iterator[Notice]:
    """The notices on one setting, whose name is known as `key`, for that release of LMI."""
    if key is None:
        because = _TO_THE_HANDLER if one.of_the_model else ""
        yield notice(
            "setting unknown", one, because=because, level="warning", nearest=nearest_known(one.name)
        )
    elif not one.value:
        yield notice("setting without a value", one, because="its default stands")
    elif key.own_option and own_handler:
        if not key.effective:
            yield notice("setting left to the handler", one, because=_TO_THE_HANDLER)
    else:
        yield from _on_known(key, one, release)


def _on_known(key: Key, one: Given, release: tuple[int, int]) -> Iterator[Notice]:
    if _bare(one.name) != _bare(key.name):
        yield notice("setting read as another", one, because=f"it is read as {key.name}")
    if because := key.reason or key.reasons.get(one.value.lower(), ""):
        message = "setting without effect" if key.reason else DIFFERENT
        yield notice(message, one, because=because, level="warning" if because == TEXT_ONLY else "info")
    if key.effective and key.since > release:
        since = ".".join(map(str, key.since))
        yield notice("setting newer than the release", one, because=f"LMI knows it since {since}; it counts")


def _bare(name: str) -> str:
    return name.removeprefix(OPTION).replace("_", "").lower()


def notice(
    message: str,
    one: Given,
    *,
    because: str = "",
    level: Literal["info", "warning"] = "info",
    nearest: str = "",
) -> Notice:
    """A notice on one setting."""
    return Notice(level, message, one.name, shown(one), one.source, because, nearest)


def shown(one: Given) -> str:
    """A value fit for a log: no secret, and no page."""
    if _SECRET.search(one.name):
        return "(hidden)"
    return one.value if len(one.value) <= _SHOWN_CHARACTERS else f"{one.value[:_SHOWN_CHARACTERS]}…"
