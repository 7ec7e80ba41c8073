"""What AWS clients are told when something fails, and which domain error becomes which of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nearstream.core.errors import (
    Conflict,
    GenerationFailed,
    Invalid,
    Missing,
    NearstreamError,
    NotReady,
    Overloaded,
    Unusable,
)


class AwsError(NearstreamError):
    """An answer in AWS's words: `code`, text, HTTP `status` and, for some codes, more `fields`."""

    def __init__(
        self, code: str, message: str, status: int = 400, fields: Mapping[str, str | int] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.fields: Mapping[str, str | int] = fields or {}


@dataclass(frozen=True, slots=True)
class Fault:
    """The code and status that one kind of domain error has in one service."""

    code: str
    status: int = 400


FaultTable = Mapping[type[NearstreamError], Fault]

SAGEMAKER: Final[FaultTable] = {
    Invalid: Fault("ValidationException"),
    Missing: Fault("ValidationException"),
    Conflict: Fault("ValidationException"),
    Unusable: Fault("ValidationException"),
    Overloaded: Fault("ThrottlingException"),
    NearstreamError: Fault("InternalFailure", 500),
}
"""The control plane: SageMaker says ValidationException for nearly everything."""

SAGEMAKER_RUNTIME: Final[FaultTable] = {
    Invalid: Fault("ValidationError"),
    Missing: Fault("ValidationError"),
    Conflict: Fault("ValidationError"),
    Overloaded: Fault("ThrottlingException", 429),
    NotReady: Fault("ServiceUnavailable", 503),
    GenerationFailed: Fault("ModelError", 424),
    NearstreamError: Fault("InternalFailure", 500),
}
"""The data plane. boto3 tries a 5xx or ThrottlingException three times: only for what a retry can help."""


def translate(error: NearstreamError, table: FaultTable) -> AwsError:
    """`error` in the words of one service; an AwsError stays as it is."""
    if isinstance(error, AwsError):
        return error
    fault = next(table[kind] for kind in type(error).__mro__ if kind in table)
    return AwsError(fault.code, str(error), fault.status)
