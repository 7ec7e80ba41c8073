"""What the List operations share: filters, order and pages."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from nearstream.core.endpoints import Record
from nearstream.core.errors import Invalid
from nearstream.services.sagemaker.requests import ListRequest

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Order(Generic[R]):
    """What else than name and creation time a kind of resource is sorted and filtered by."""

    status: Callable[[R], str] = lambda _: ""
    modified_at: Callable[[R], float] = lambda record: record.created_at


def page(records: Iterable[R], request: ListRequest, order: Order[R]) -> tuple[list[R], str | None]:
    """The records that a List request asks for, and the token of the next page if there is one.

    A token holds the last record's place in the order, so that a page is right although records come and go.
    """

    def place(record: R) -> _Place:
        match request.sort_by:
            case "Name":
                return "", 0.0, record.name
            case "CreationTime":
                return "", record.created_at, record.name
            case "Status":
                return order.status(record), 0.0, record.name

    descending = request.sort_order == "Descending"
    chosen = sorted((r for r in records if _wanted(r, request, order)), key=place, reverse=descending)
    if request.next_token:
        last = _decode(request.next_token)
        chosen = [r for r in chosen if (place(r) < last if descending else place(r) > last)]
    limit = request.max_results
    if len(chosen) <= limit:
        return chosen, None
    return chosen[:limit], _encode(place(chosen[limit - 1]))


_Place = tuple[str, float, str]
"""A record's place in an order: a word, a number, its name."""


def _wanted(record: R, request: ListRequest, order: Order[R]) -> bool:
    return (
        request.name_contains.lower() in record.name.lower()
        and request.status_equals in (None, order.status(record))
        and _within(record.created_at, request.creation_time_after, request.creation_time_before)
        and _within(
            order.modified_at(record), request.last_modified_time_after, request.last_modified_time_before
        )
    )


def _within(at: float, after: float | None, before: float | None) -> bool:
    return (after is None or at > after) and (before is None or at < before)


def _encode(place: _Place) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def _decode(token: str) -> _Place:
    try:
        place: _Place = msgspec.json.decode(base64.urlsafe_b64decode(token), type=_Place)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise Invalid("The NextToken is not one that this operation gave.") from None
    return place
