"""The inputs of the operations of CloudWatch Logs that are served."""

from __future__ import annotations

import msgspec

from nearstream.services.service import Kept

MOST_EVENTS = 10_000
"""Of one page, as AWS has it."""


class GroupRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What all of them have: a group by its name or its ARN."""

    log_group_name: str | None = None
    log_group_identifier: str | None = None
    next_token: str | None = None


class FilterLogEvents(GroupRequest, frozen=True, kw_only=True, rename="camel"):
    log_stream_names: list[str] | None = None
    log_stream_name_prefix: str | None = None
    start_time: int | None = None
    end_time: int | None = None
    filter_pattern: str = ""
    limit: int = MOST_EVENTS
    start_from_head: Kept[bool | None] = None
    interleaved: Kept[bool | None] = None
    unmask: Kept[bool | None] = None


class GetLogEvents(GroupRequest, frozen=True, kw_only=True, rename="camel"):
    log_stream_name: str
    start_time: int | None = None
    end_time: int | None = None
    limit: int = MOST_EVENTS
    start_from_head: bool = False
    unmask: Kept[bool | None] = None


class DescribeLogStreams(GroupRequest, frozen=True, kw_only=True, rename="camel"):
    log_stream_name_prefix: str = ""
    order_by: str = "LogStreamName"
    descending: bool = False
    limit: int = 50
