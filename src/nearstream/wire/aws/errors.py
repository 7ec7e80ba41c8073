"""Errors as AWS clients see them: a code, a text, an HTTP status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nearstream.core.errors import NearstreamError, ServiceError

Codes = Mapping[type[NearstreamError], str]
"""The code that each kind of domain error has in one service; the nearest kind decides."""


@dataclass(frozen=True, slots=True)
class ErrorContext:
    """What an error's form depends on beside its protocol: the request and the service that it is of."""

    request_id: str
    json_version: str = "1.1"
    namespace: str = ""


class AwsError(ServiceError):
    """An error with its HTTP `status`, ready for any protocol."""

    def __init__(
        self, code: str, message: str, status: int = 400, fields: Mapping[str, str | int] | None = None
    ) -> None:
        super().__init__(code, message, fields)
        self.status = status


COMMON_STATUSES: Final[Mapping[str, int]] = {
    "InternalFailure": 500,
    "InternalError": 500,
    "InternalServerError": 500,
    "ServiceUnavailable": 503,
    "AccessDenied": 403,
    "AccessDeniedException": 403,
}
"""Codes that every service may give; 400 where neither this table nor the service's model says more."""


def translate(error: NearstreamError, codes: Codes, statuses: Mapping[str, int]) -> AwsError:
    """`error` with one service's code and status, `statuses` by code; an AwsError stays as it is."""
    if isinstance(error, AwsError):
        return error
    fields: Mapping[str, str | int] = {}
    if isinstance(error, ServiceError):
        code, fields = error.code, error.fields
    else:
        code = next(codes[kind] for kind in type(error).__mro__ if kind in codes)
    return AwsError(code, str(error), statuses.get(code, COMMON_STATUSES.get(code, 400)), fields)
