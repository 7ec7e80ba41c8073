"""CloudWatch Logs as the front door serves it: a group an endpoint, a stream a replica, read alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from nearstream.core.accounts import Account, partition
from nearstream.core.errors import Invalid, NearstreamError, ServiceError
from nearstream.core.ports import ReplicaLog, ReplicaLogs
from nearstream.services.logs import events
from nearstream.services.logs.events import Event, Pattern, Range
from nearstream.services.logs.requests import DescribeLogStreams, FilterLogEvents, GetLogEvents, GroupRequest
from nearstream.services.service import Operation, Output, Service

GROUP: Final = "/aws/sagemaker/Endpoints/"
_GROUP: Final = re.compile(rf"(?:arn:[^\s]{{1,200}}:log-group:)?{GROUP}([a-zA-Z0-9-]{{1,63}})(?::\*)?")
_PAGE_TOKEN: Final = re.compile(r"([fb])/(\d{1,15})", re.ASCII)
_FILTER_TOKEN: Final = re.compile(r"(\d{1,15})/([^\s]{1,200})", re.ASCII)
WINDOWS_A_PAGE: Final = 8
"""How much of a log one page of FilterLogEvents looks through."""


class Logs:
    """What replicas wrote, those that are gone too, as long as their files are kept."""

    def __init__(self, account: Account, source: ReplicaLogs) -> None:
        self._account = account
        self._source = source

    async def describe_streams(self, request: DescribeLogStreams) -> Output:
        endpoint, logs = await self._group(request)
        by_name = sorted(logs, key=lambda log: _stream(endpoint, log))
        ordered = by_name if request.order_by == "LogStreamName" else logs
        wanted = [log for log in ordered if _stream(endpoint, log).startswith(request.log_stream_name_prefix)]
        wanted = wanted[::-1] if request.descending else wanted
        start = _number(request.next_token)
        page, rest = wanted[start : start + request.limit], wanted[start + request.limit :]
        return {
            "logStreams": [await self._described(endpoint, log) for log in page],
            "nextToken": str(start + request.limit) if rest else None,
        }

    async def get_events(self, request: GetLogEvents) -> Output:
        endpoint, logs = await self._group(request)
        log = next((each for each in logs if _stream(endpoint, each) == request.log_stream_name), None)
        if log is None:
            raise ServiceError("ResourceNotFoundException", "The specified log stream does not exist.")
        direction, at = _page(request.next_token, log, from_head=request.start_from_head)
        if direction == "f":
            found = (await events.after(self._source, log, at))[: request.limit]
        else:
            found = (await events.before(self._source, log, at))[-request.limit :]
        wanted = Range(request.start_time, request.end_time)
        return {
            "events": [_event(each) for each in found if each.at_ms in wanted],
            "nextForwardToken": f"f/{found[-1].end if found else at}",
            "nextBackwardToken": f"b/{found[0].start if found else at}",
        }

    async def filter_events(self, request: FilterLogEvents) -> Output:
        """Stream after stream, oldest first; a page looks through `WINDOWS_A_PAGE` windows at most."""
        endpoint, logs = await self._group(request)
        logs = [log for log in logs if _is_wanted(_stream(endpoint, log), request)]
        pattern, wanted = Pattern(request.filter_pattern), Range(request.start_time, request.end_time)
        at, logs = _continued(request.next_token, endpoint, logs)
        found: list[dict[str, Any]] = []
        windows_left = WINDOWS_A_PAGE
        while logs and windows_left and len(found) < request.limit:
            name, windows_left = _stream(endpoint, logs[0]), windows_left - 1
            came = await events.after(self._source, logs[0], at)
            if not came:
                logs, at = logs[1:], 0
                continue
            for each in came:
                at = each.end
                if each.at_ms in wanted and pattern.matches(each.text):
                    found.append({**_event(each), "logStreamName": name, "eventId": f"{name}/{each.start}"})
                if len(found) == request.limit:
                    break
        token = f"{at}/{_stream(endpoint, logs[0])}" if logs else None
        return {"events": found, "searchedLogStreams": [], "nextToken": token}

    async def _group(self, request: GroupRequest) -> tuple[str, Sequence[ReplicaLog]]:
        """The endpoint that a group is of, and its logs. Raises ServiceError and Invalid."""
        given = request.log_group_name or request.log_group_identifier
        if not given:
            raise Invalid("logGroupName or logGroupIdentifier is wanted.")
        named = _GROUP.fullmatch(given)
        logs = await self._source.logs(named[1]) if named else []
        if named is None or not logs:
            raise ServiceError("ResourceNotFoundException", "The specified log group does not exist.")
        return named[1], logs

    async def _described(self, endpoint: str, log: ReplicaLog) -> dict[str, Any]:
        first = await events.after(self._source, log, 0)
        last = await events.before(self._source, log, log.size_bytes)
        name, written_ms = _stream(endpoint, log), int(log.written_at * 1000)
        region, account = self._account.region, self._account.id
        group = f"arn:{partition(region)}:logs:{region}:{account}:log-group:{GROUP}{endpoint}"
        return {
            "logStreamName": name,
            "creationTime": first[0].at_ms if first else written_ms,
            "firstEventTimestamp": first[0].at_ms if first else None,
            "lastEventTimestamp": last[-1].at_ms if last else None,
            "lastIngestionTime": written_ms,
            "arn": f"{group}:log-stream:{name}",
            "storedBytes": log.size_bytes,
        }


def _stream(endpoint: str, log: ReplicaLog) -> str:
    """A stream's name: variant/replica."""
    return log.name.removeprefix(f"{endpoint}/").removesuffix(".log")


def _is_wanted(stream: str, request: FilterLogEvents) -> bool:
    named = request.log_stream_names
    return (named is None or stream in named) and stream.startswith(request.log_stream_name_prefix or "")


def _event(event: Event) -> dict[str, Any]:
    return {"timestamp": event.at_ms, "message": event.text, "ingestionTime": event.at_ms}


def _number(token: str | None) -> int:
    if token is None:
        return 0
    if not (token.isascii() and token.isdigit() and len(token) < 7):  # noqa: PLR2004
        raise _bad_token()
    return int(token)


def _page(token: str | None, log: ReplicaLog, *, from_head: bool) -> tuple[str, int]:
    if token is None:
        return ("f", 0) if from_head else ("b", log.size_bytes)
    read = _PAGE_TOKEN.fullmatch(token)
    if read is None:
        raise _bad_token()
    return read[1], int(read[2])


def _continued(
    token: str | None, endpoint: str, logs: Sequence[ReplicaLog]
) -> tuple[int, Sequence[ReplicaLog]]:
    """Where a search goes on; a stream that is gone by now ends it."""
    if token is None:
        return 0, logs
    read = _FILTER_TOKEN.fullmatch(token)
    if read is None:
        raise _bad_token()
    names = [_stream(endpoint, log) for log in logs]
    return int(read[1]), logs[names.index(read[2]) :] if read[2] in names else ()


def _bad_token() -> Invalid:
    return Invalid("The specified nextToken is invalid.")


def service(account: Account, source: ReplicaLogs) -> Service:
    """CloudWatch Logs of `account`, whose replicas write to `source`."""
    logs = Logs(account, source)
    return Service(
        name="logs",
        operations={
            "DescribeLogStreams": Operation(DescribeLogStreams, logs.describe_streams),
            "GetLogEvents": Operation(GetLogEvents, logs.get_events),
            "FilterLogEvents": Operation(FilterLogEvents, logs.filter_events),
        },
        errors={Invalid: "InvalidParameterException", NearstreamError: "ServiceUnavailableException"},
    )
