"""What the secure mode switches off, each by its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from nearstream.core.errors import Unusable

Switch = Literal["custom-code", "requirements", "chat-templates", "pickles", "remote-hubs"]
SWITCHES: Final[tuple[Switch, ...]] = get_args(Switch)


@dataclass(frozen=True, slots=True)
class Restrictions:
    """`off` are the switches that are off."""

    off: frozenset[str] = frozenset()

    def check(self, switch: Switch, what: str) -> None:
        """Raise Unusable with `what`, a sentence's beginning, where the switch is off."""
        if switch in self.off:
            raise Unusable(
                f"{what}: the secure mode switches {switch} off (--secure-mode, NEARSTREAM_SECURE_MODE or "
                "secure_mode in nearstream.toml)"
            )


UNRESTRICTED: Final = Restrictions()
