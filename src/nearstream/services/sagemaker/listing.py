"""What the List operations share: filters, order and pages."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import msgspec

from nearstream.core.endpoints import Endpoint, Record
from nearstream.core.errors import Invalid
from nearstream.wire.aws.service import Document

R = TypeVar("R", bound=Record)

DEFAULT_RESULTS: Final = 10


def page(records: Iterable[R], request: Document) -> tuple[list[R], str | None]:
    """The records that a List request asks for, and the token of the next page if there is one.

    A token holds the last record's place in the order, so that a page is right although records come and go.
    """
    place = _PLACES[request.get("SortBy", "CreationTime")]
    descending = request.get("SortOrder", "Descending") == "Descending"
    chosen = sorted((r for r in records if _wanted(r, request)), key=place, reverse=descending)
    if token := request.get("NextToken"):
        last = _decode(token)
        chosen = [r for r in chosen if (place(r) < last if descending else place(r) > last)]
    limit = request.get("MaxResults", DEFAULT_RESULTS)
    if len(chosen) <= limit:
        return chosen, None
    return chosen[:limit], _encode(place(chosen[limit - 1]))


_Place = tuple[str, float, str]
"""A record's place in an order: a word, a number, its name."""

_PLACES: Final[dict[str, Callable[[Record], _Place]]] = {
    "Name": lambda record: ("", 0.0, record.name),
    "CreationTime": lambda record: ("", record.created_at, record.name),
    "Status": lambda record: (record.status if isinstance(record, Endpoint) else "", 0.0, record.name),
}


def _wanted(record: Record, request: Document) -> bool:
    if request.get("NameContains", "").lower() not in record.name.lower():
        return False
    if not _within(record.created_at, request, "CreationTime"):
        return False
    if not isinstance(record, Endpoint):
        return True
    status = request.get("StatusEquals", record.status)
    return bool(status == record.status) and _within(record.modified_at, request, "LastModifiedTime")


def _within(at: float, request: Document, member: str) -> bool:
    after, before = request.get(f"{member}After"), request.get(f"{member}Before")
    return (after is None or at > after) and (before is None or at < before)


def _encode(place: _Place) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def _decode(token: str) -> _Place:
    try:
        place: _Place = msgspec.json.decode(base64.urlsafe_b64decode(token), type=_Place)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise Invalid("The NextToken is not one that this operation gave.") from None
    return place
