"""What a TGI server tells its dialect: the release it serves as, its limits, its adapters."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass, field

from nearstream.core.errors import Unusable
from nearstream.wire.dialects.limits import Limits

LATEST = "3.3.7"


@dataclass(frozen=True, slots=True)
class Release:
    """What differs on the wire between releases of TGI."""

    version: str = LATEST
    default_max_new_tokens: int | None = None
    """None fills what the context leaves."""
    default_max_input_tokens: int | None = None
    default_max_total_tokens: int | None = None
    """None: what the model's context allows."""
    counted_new_tokens: int | None = 1024
    """Of the tokens asked for, so many at most are counted against the total; None: all of them."""
    space_after_data: bool = True
    """`data: {…}`, not `data:{…}`."""
    event_index: bool = True
    """Events are numbered."""
    event_input_length: bool = True
    """The last event's details count the prompt's tokens."""
    samples_without_parameters: bool = True
    """A body with no `parameters` asks for sampling."""
    chat_by_switch: bool = False
    """/invocations takes a conversation only where MESSAGES_API_ENABLED says so, not by the body's keys."""
    invocations_by_body: bool = True
    """/invocations looks at the body for `inputs`, `messages`, `prompt`."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Everything a dialect needs to know of the server to read a body."""

    release: Release = field(default_factory=Release)
    limits: Limits = field(default_factory=Limits)
    adapters: Container[str] = frozenset()
    """Looked at for each request: they come and go."""


def tgi_release(version: str) -> Release:
    """The release that `version` ("2.0.1", "3") names. Raises Unusable when it names none."""
    found = re.match(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?", version)
    if found is None:
        raise Unusable(f"{version!r} is not a TGI version: write it as 3.3.7 or 2.0")
    number = int(found[1]), int(found[2] or 0), int(found[3] or 0)
    return Release(
        version=version,
        default_max_new_tokens=_default_max_new_tokens(number),
        default_max_input_tokens=1024 if number < (1, 4) else None,
        default_max_total_tokens=2048 if number < (1, 4) else None,
        counted_new_tokens=1024 if number >= (3, 1, 1) else None,
        space_after_data=number >= (2, 1),
        event_index=number >= (1, 4),
        event_input_length=number >= (3, 0),
        samples_without_parameters=number >= (1, 4),
        chat_by_switch=(1, 4) <= number < (2, 4),
        invocations_by_body=number >= (2, 4),
    )


def _default_max_new_tokens(number: tuple[int, int, int]) -> int | None:
    if number >= (3, 0):
        return None
    return 100 if number >= (1, 4) else 20
