"""What the log should say of a setting: one line for each that is not as asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from nearstream.config.serving.keys import OPTION, TEXT_ONLY, Key
from nearstream.config.serving.keys import nearest as nearest_known
from nearstream.config.serving.settings import Remark
from nearstream.config.serving.sources import Given

ELSEWISE = "setting means something else here"
_TO_THE_HANDLER = "the handler gets it as an init property"
_SECRET = re.compile(
    r"(^|[._])(env|token|secret|pass(word|wd)?|credentials?|(api|access)_?key)$", re.IGNORECASE
)
_SHOWN_CHARACTERS = 200


def remarks_on(
    key: Key | None, one: Given, *, own_handler: bool, release: tuple[int, int]
) -> Iterator[Remark]:
    """What is to be said of one setting under a name that is known as `key`, for that release of LMI."""
    if key is None:
        because = _TO_THE_HANDLER if one.of_the_model else ""
        yield remark(
            "setting unknown", one, because=because, level="warning", nearest=nearest_known(one.name)
        )
    elif not one.value:
        yield remark("setting without a value", one, because="its default stands")
    elif key.own_option and own_handler:
        if not key.heeded:
            yield remark("setting left to the handler", one, because=_TO_THE_HANDLER)
    else:
        yield from _on_known(key, one, release)


def _on_known(key: Key, one: Given, release: tuple[int, int]) -> Iterator[Remark]:
    if _bare(one.name) != _bare(key.name):
        yield remark("setting read as another", one, because=f"it is read as {key.name}")
    if because := key.fate or key.fates.get(one.value.lower(), ""):
        message = "setting without effect" if key.fate else ELSEWISE
        yield remark(message, one, because=because, level="warning" if because == TEXT_ONLY else "info")
    if key.heeded and key.since > release:
        since = ".".join(map(str, key.since))
        yield remark("setting newer than the release", one, because=f"LMI knows it since {since}; it counts")


def _bare(name: str) -> str:
    return name.removeprefix(OPTION).replace("_", "").lower()


def remark(
    message: str,
    one: Given,
    *,
    because: str = "",
    level: Literal["info", "warning"] = "info",
    nearest: str = "",
) -> Remark:
    """A remark on a setting as it was given."""
    return Remark(level, message, one.name, shown(one), one.source, because, nearest)


def shown(one: Given) -> str:
    """A value fit for a log: no secret, and no page."""
    if _SECRET.search(one.name):
        return "(hidden)"
    return one.value if len(one.value) <= _SHOWN_CHARACTERS else f"{one.value[:_SHOWN_CHARACTERS]}…"
