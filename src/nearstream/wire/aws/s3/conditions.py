"""Which part of an object a request wants, and whether it wants it as the object is now.

Follows RFC 9110, sections 13 and 14, where S3 does; of several ranges S3 serves none and gives the whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final

from nearstream.wire.aws.errors import AwsError

COPY_PREFIX: Final = "x-amz-copy-source-"
_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of an object: `count` from `start` on."""

    start: int
    count: int

    def content_range(self, size: int) -> str:
        return f"bytes {self.start}-{self.start + self.count - 1}/{size}"


def span(text: str | None, size: int) -> Span | None:
    """What a Range header asks of an object; None: all of it. Raises AwsError InvalidRange."""
    found = _RANGE.fullmatch(text.strip()) if text else None
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found[1], found[2]
    if not first:
        count = min(int(last), size)
        wanted = Span(size - count, count)
    else:
        end = min(int(last) + 1 if last else size, size)
        if last and int(last) < int(first):
            return None
        wanted = Span(int(first), end - int(first))
    if wanted.count <= 0:
        raise AwsError(
            "InvalidRange", f"The requested range is not satisfiable: {text} of {size} bytes.", 416
        )
    return wanted


def copy_span(text: str | None, size: int) -> Span:
    """What `x-amz-copy-source-range` asks for: both ends, within the object. Raises AwsError."""
    if text is None:
        return Span(0, size)
    found = _RANGE.fullmatch(text)
    if found is None or not found[1] or not found[2] or int(found[1]) > int(found[2]):
        message = "The x-amz-copy-source-range value must be of the form bytes=first-last."
        raise AwsError("InvalidArgument", message)
    if int(found[2]) >= size:
        raise AwsError("InvalidArgument", f"Range specified is not valid for source object of size: {size}")
    return Span(int(found[1]), int(found[2]) - int(found[1]) + 1)


def check(headers: Mapping[str, str], etag: str, modified_s: float, *, prefix: str = "") -> bool:
    """Whether the object is wanted; False: the caller has it already. Raises AwsError PreconditionFailed."""
    if f"{prefix}if-match" in headers:
        if not _matches(headers[f"{prefix}if-match"], etag):
            raise _failed("If-Match")
    elif _later(modified_s, headers.get(f"{prefix}if-unmodified-since")) is True:
        raise _failed("If-Unmodified-Since")
    if f"{prefix}if-none-match" in headers:
        return not _matches(headers[f"{prefix}if-none-match"], etag)
    return _later(modified_s, headers.get(f"{prefix}if-modified-since")) is not False


def check_copy(headers: Mapping[str, str], etag: str, modified_s: float) -> None:
    """Raises AwsError PreconditionFailed when the source of a copy is not as the caller wants it."""
    if not check(headers, etag, modified_s, prefix=COPY_PREFIX):
        raise _failed("x-amz-copy-source-If-None-Match or -If-Modified-Since")


def http_date(at_s: float) -> str:
    return format_datetime(datetime.fromtimestamp(int(at_s), UTC), usegmt=True)


def iso_date(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _matches(text: str, etag: str) -> bool:
    given = {each.strip().removeprefix("W/").strip('"') for each in text.split(",")}
    return "*" in given or etag in given


def _later(modified_s: float, date: str | None) -> bool | None:
    """Whether the object is younger than `date`; None: there is no date."""
    try:
        return None if date is None else int(modified_s) > parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None


def _failed(name: str) -> AwsError:
    message = f"At least one of the pre-conditions you specified did not hold: {name}."
    return AwsError("PreconditionFailed", message, 412)
