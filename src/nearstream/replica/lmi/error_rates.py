"""DJL Serving's error rates: how many calls may fail before /ping reports it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from http import HTTPStatus
from typing import Literal

from nearstream.core.ports import Clock
from nearstream.core.rates import Rate

Kind = Literal["wlm", "model", "server"]
"""No room or not ready; the model's own failure; the server's."""
ANY = "any"
_KINDS: Mapping[str, Kind] = {"overloaded": "wlm", "unready": "wlm", "generation": "model"}
_BUG = "incomplete"


class ErrorRates:
    """`rates`: by kind, and ANY for all together; a kind without a rate may always fail. `clock`: seconds.

    One that is exceeded is well again once its failures have passed out of its window.
    """

    def __init__(self, rates: Mapping[str, Rate], clock: Clock) -> None:
        self._clock = clock
        self._rates = dict(rates)
        self._failures = {name: deque[float](maxlen=rate.most + 1) for name, rate in rates.items()}

    def failed(self, kind: Kind) -> tuple[str, ...]:
        """Count a failure. The names of the rates that it was too much for, and no earlier one."""
        before, now_s = self.exceeded(), self._clock()
        for name in (kind, ANY):
            if name in self._failures:
                self._failures[name].append(now_s)
        return tuple(name for name in self.exceeded() if name not in before)

    def exceeded(self) -> tuple[str, ...]:
        """The names of the rates that are exceeded now."""
        return tuple(name for name, rate in self._rates.items() if self._too_many(name, rate))

    def _too_many(self, name: str, rate: Rate) -> bool:
        failures = self._failures[name]
        return len(failures) > rate.most and self._clock() - failures[0] < rate.window_s


def kind_of(cause: str | None, status: int) -> Kind | None:
    """What a call counts as that ended with this cause of failure, or none, and this status.

    None: it succeeded, or its client caused the failure, which must not make the server look unhealthy.
    """
    if cause is None:
        own = status == HTTPStatus.FAILED_DEPENDENCY or status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return "model" if own else None
    if cause == _BUG:
        return "server" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else None
    return _KINDS.get(cause)
