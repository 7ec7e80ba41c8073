"""CloudWatch Logs over the files that replicas write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from nearstream.core.accounts import Account
from nearstream.core.errors import Invalid, ServiceError
from nearstream.deploy.logs import LocalLogs
from nearstream.services.logs import events, service
from nearstream.services.logs.events import Pattern
from nearstream.services.service import Caller

GROUP = "/aws/sagemaker/Endpoints/chat"
START = 1_795_950_000_000
"""The time of the first line, 2026-11-29T11:00:00Z, in milliseconds."""


def written(folder: Path, replica: str, lines: int, *, minute: int = 0) -> None:
    path = folder / "chat" / "AllTraffic" / f"{replica}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(
            f"timestamp=2026-11-29T11:{minute:02}:{number:02}.500000Z level=info event=line-{number}\n"
            for number in range(lines)
        )
    )


class Client:
    def __init__(self, folder: Path) -> None:
        self._service = service.service(Account("123456789012", "us-east-1"), LocalLogs(folder))

    async def call(self, operation: str, **members: Any) -> Mapping[str, Any]:
        document = {"logGroupName": GROUP} | members
        return await self._service.operations[operation](document, Caller("", "", ""))

    async def filtered(self, **members: Any) -> list[str]:
        """The messages of all pages."""
        found, token = [], None
        while True:
            page = await self.call("FilterLogEvents", **members, **({"nextToken": token} if token else {}))
            found += [each["message"].rpartition("=")[2] for each in page["events"]]
            if not (token := page["nextToken"]):
                return found


@pytest.fixture
def client(tmp_path: Path) -> Client:
    written(tmp_path, "r-1", 5)
    written(tmp_path, "r-2", 3, minute=1)
    return Client(tmp_path)


async def test_every_line_is_an_event_with_the_time_that_it_says(client: Client) -> None:
    page = await client.call("FilterLogEvents", logStreamNames=["AllTraffic/r-1"])
    first = page["events"][0]
    assert first["message"] == "timestamp=2026-11-29T11:00:00.500000Z level=info event=line-0"
    assert (first["timestamp"], first["logStreamName"]) == (START + 500, "AllTraffic/r-1")
    assert len({each["eventId"] for each in page["events"]}) == 5


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_of_any_size_give_each_line_once(client: Client, limit: int) -> None:
    assert sorted(await client.filtered(limit=limit)) == sorted(
        [f"line-{number}" for number in range(5)] + [f"line-{number}" for number in range(3)]
    )


async def test_times_and_patterns_choose(client: Client) -> None:
    assert await client.filtered(startTime=START + 60_000) == ["line-0", "line-1", "line-2"]
    assert await client.filtered(endTime=START + 1_500) == ["line-0"]
    assert await client.filtered(filterPattern='"line-4"') == ["line-4"]
    assert await client.filtered(logStreamNamePrefix="AllTraffic/r-2", filterPattern="?line-0 ?line-2") == [
        "line-0",
        "line-2",
    ]


async def test_a_stream_is_read_from_its_end_and_back(client: Client) -> None:
    named = {"logStreamName": "AllTraffic/r-1"}
    page = await client.call("GetLogEvents", **named, limit=2)
    assert [each["message"][-6:] for each in page["events"]] == ["line-3", "line-4"]
    back = await client.call("GetLogEvents", **named, limit=2, nextToken=page["nextBackwardToken"])
    assert [each["message"][-6:] for each in back["events"]] == ["line-1", "line-2"]
    last = await client.call("GetLogEvents", **named, nextToken=page["nextForwardToken"])
    assert (last["events"], last["nextForwardToken"]) == ([], page["nextForwardToken"])


async def test_a_stream_is_read_from_its_head_and_on(client: Client) -> None:
    named = {"logStreamName": "AllTraffic/r-1", "limit": 3, "startFromHead": True}
    page = await client.call("GetLogEvents", **named)
    rest = await client.call("GetLogEvents", **named, nextToken=page["nextForwardToken"])
    assert [each["message"][-6:] for each in [*page["events"], *rest["events"]]] == [
        f"line-{number}" for number in range(5)
    ]


async def test_streams_are_the_replicas_of_the_variants(client: Client) -> None:
    page = await client.call("DescribeLogStreams", limit=1)
    (first,) = page["logStreams"]
    assert first["logStreamName"] == "AllTraffic/r-1"
    assert (first["firstEventTimestamp"], first["lastEventTimestamp"]) == (START + 500, START + 4_500)
    rest = await client.call("DescribeLogStreams", nextToken=page["nextToken"])
    assert [each["logStreamName"] for each in rest["logStreams"]] == ["AllTraffic/r-2"]
    newest = await client.call("DescribeLogStreams", orderBy="LastEventTime", descending=True)
    assert len(newest["logStreams"]) == 2


async def test_lines_without_a_time_have_that_of_the_line_before(tmp_path: Path) -> None:
    written(tmp_path, "r-1", 1)
    path = tmp_path / "chat" / "AllTraffic" / "r-1.log"
    path.write_bytes(b"before\n" + path.read_bytes() + b"Traceback\n  \xff\nnot whole")
    page = await Client(tmp_path).call("FilterLogEvents")
    assert [each["message"] for each in page["events"]][2:] == ["Traceback", "  \ufffd"]
    assert {each["timestamp"] for each in page["events"]} == {START + 500}


async def test_lines_longer_than_a_window_are_cut_and_all_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "WINDOW_BYTES", 16)
    path = tmp_path / "chat" / "AllTraffic" / "r-1.log"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * 100 + b"\nshort\n" + b"y" * 15 + b"\n")
    assert "".join(await Client(tmp_path).filtered()) == "x" * 100 + "short" + "y" * 15


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"logGroupName": "/aws/sagemaker/Endpoints/other"}, "ResourceNotFoundException"),
        ({"logGroupName": "/aws/sagemaker/Endpoints/../chat"}, "ResourceNotFoundException"),
        ({"logGroupName": "/aws/lambda/chat"}, "ResourceNotFoundException"),
    ],
)
async def test_a_group_that_is_not_there_is_said_to_be_missing(
    client: Client, members: dict[str, Any], code: str
) -> None:
    for operation in ("FilterLogEvents", "DescribeLogStreams"):
        with pytest.raises(ServiceError, match="The specified log group does not exist") as caught:
            await client.call(operation, **members)
        assert caught.value.code == code


async def test_a_group_may_be_named_by_its_arn(client: Client) -> None:
    arn = f"arn:aws:logs:us-east-1:123456789012:log-group:{GROUP}"
    page = await client.call("FilterLogEvents", logGroupIdentifier=arn, logGroupName=None)
    assert len(page["events"]) == 8


@pytest.mark.parametrize("token", ["", "x", "f/-1", "f/\u0661", "9" * 40, "1/"])
@pytest.mark.parametrize("operation", ["FilterLogEvents", "GetLogEvents", "DescribeLogStreams"])
async def test_a_token_of_no_page_is_refused(client: Client, operation: str, token: str) -> None:
    with pytest.raises(Invalid, match="nextToken is invalid"):
        await client.call(operation, nextToken=token, **_stream(operation))


def _stream(operation: str) -> dict[str, str]:
    return {"logStreamName": "AllTraffic/r-1"} if operation == "GetLogEvents" else {}


@pytest.mark.parametrize("text", ["{ $.a = 1 }", "[a, b]", "%[0-9]%", '"open'])
def test_patterns_that_are_not_words_are_refused(text: str) -> None:
    with pytest.raises(Invalid, match="ilter pattern"):
        Pattern(text)


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("", True),
        ("ERROR", True),
        ("ERROR -disk", False),
        ("?x ?disk", True),
        ('"disk full"', True),
        ("error", False),
    ],
)
def test_words_of_a_pattern_are_wanted_or_not(pattern: str, matches: bool) -> None:
    assert Pattern(pattern).matches("ERROR: disk full") is matches
