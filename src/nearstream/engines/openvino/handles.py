"""OpenVINO's side of a request, as far as it is used here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol


class Reason(Protocol):
    """One of OpenVINO's reasons to end a generation."""

    @property
    def value(self) -> int: ...


class Output(Protocol):
    """What was made for a request since the last read."""

    @property
    def generated_ids(self) -> Sequence[int]: ...

    @property
    def generated_log_probs(self) -> Sequence[float]: ...

    @property
    def finish_reason(self) -> Reason: ...


class Handle(Protocol):
    """Letting go of it ends the request."""

    def can_read(self) -> bool: ...

    def read(self) -> Mapping[int, Output]: ...

    def get_status(self) -> object: ...

    def cancel(self) -> None: ...


def drawn_tokens(handle: Handle) -> Iterator[tuple[int, float]]:
    """The one token of each output, with its log-probability."""
    return ((output.generated_ids[0], output.generated_log_probs[0]) for output in handle.read().values())
