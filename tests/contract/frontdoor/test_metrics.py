"""The front door's own metrics, as Prometheus' parser reads them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.contract.frontdoor.test_relay import HEAD, SIGNING_KEYS, Stand, chunk, stand
from tests.support.ports import free_port
from tests.support.waiting import until

from nearstream.client.signing import signed
from nearstream.core.errors import CallFailed
from nearstream.frontdoor.listener import listening
from nearstream.frontdoor.management import management
from nearstream.frontdoor.metrics import MOST_SERIES, FrontDoorMetrics
from nearstream.wire.browsers import PageRules

SERVED = (("endpoint", "e"), ("variant", "AllTraffic"))
NOBODY = (("endpoint", ""), ("variant", ""))
Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(text: bytes) -> Figures:
    return {
        (sample.name, tuple(sorted((k, v) for k, v in sample.labels.items() if k != "le"))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if not sample.name.endswith("_bucket")
    }


async def scraped(made: Stand) -> Figures:
    url = f"{made.url}/metrics"
    async with made.session.get(url, headers=signed("GET", url, b"", {}, SIGNING_KEYS)) as answer:
        assert answer.status == 200
        return read(await answer.read())


async def nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    raise AssertionError


async def test_a_stream_is_counted_and_timed_at_its_first_and_last_byte(tmp_path: Path) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(b"first"))
        await going_on.wait()
        writer.write(chunk(b"second") + b"0\r\n\r\n")

    going_on = asyncio.Event()
    async with asyncio.timeout(10), stand(tmp_path, talk) as made:
        stream = made.client.stream_bytes(b"{}")
        assert await anext(stream) == b"first"
        assert (await scraped(made))["nearstream_streams_open", SERVED] == 1
        going_on.set()
        assert [part async for part in stream] == [b"second"]
        await until(lambda: made.metrics.series("e", "AllTraffic").streams_open == 0)
        found = await scraped(made)
    assert found["nearstream_invocations_total", SERVED] == 1
    assert found["nearstream_invocation_4xx_total", SERVED] == 0
    assert found["nearstream_invocation_5xx_total", SERVED] == 0
    assert found["nearstream_response_bytes_total", SERVED] > len(b"firstsecond")
    for name in ("model_latency", "overhead_latency", "first_byte", "replica_wait"):
        assert found[f"nearstream_{name}_seconds_count", SERVED] == 1
        assert 0 <= found[f"nearstream_{name}_seconds_sum", SERVED] < 10


@pytest.mark.parametrize(("status", "counted"), [(422, "4xx"), (500, "5xx")])
async def test_an_error_of_the_model_is_counted_by_its_status(
    tmp_path: Path, status: int, counted: str
) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 %d No\r\nContent-Length: 2\r\n\r\nno" % status)

    async with asyncio.timeout(10), stand(tmp_path, talk) as made:
        with pytest.raises(CallFailed):
            await made.parts()
        found = await scraped(made)
    errors = {side: found[f"nearstream_invocation_{side}_total", SERVED] for side in ("4xx", "5xx")}
    assert errors == {"4xx": 0.0, "5xx": 0.0, counted: 1.0}


async def test_a_stream_that_breaks_is_a_failure(tmp_path: Path) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(b"first") + b"ff\r\nhalf")
        await writer.drain()

    async with asyncio.timeout(10), stand(tmp_path, talk) as made:
        with pytest.raises(CallFailed):
            await made.parts()
        await until(lambda: made.metrics.series("e", "AllTraffic").streams_open == 0)
        assert (await scraped(made))["nearstream_invocation_5xx_total", SERVED] == 1


async def test_names_that_are_not_there_make_no_series(tmp_path: Path) -> None:
    async with asyncio.timeout(10), stand(tmp_path, nothing) as made:
        for name in ("made-up", "another"):
            url = f"{made.url}/endpoints/{name}/invocations"
            headers = signed("POST", url, b"{}", {}, SIGNING_KEYS)
            async with made.session.post(url, data=b"{}", headers=headers) as answer:
                assert answer.status == 400
        found = await scraped(made)
    assert found["nearstream_invocation_4xx_total", NOBODY] == 2
    assert {labels for _, labels in found} == {NOBODY}


def test_series_have_a_bound() -> None:
    metrics = FrontDoorMetrics()
    for number in range(MOST_SERIES + 10):
        with metrics.call(f"e{number}"):
            pass
    assert read(metrics.exposition())["nearstream_invocations_total", NOBODY] == 10


async def test_metrics_need_a_signature_on_the_sites_port_and_none_on_the_management_port(
    tmp_path: Path,
) -> None:
    port = free_port()
    calls = (
        ("GET", "/metrics"), ("POST", "/metrics"), ("GET", "/health"), ("GET", "/health/e"),
        ("GET", "/health/other"), ("POST", "/endpoints/e/invocations"), ("GET", "/"),
    )  # fmt: skip
    async with asyncio.timeout(10), stand(tmp_path, nothing) as made:
        assert await status(made.session, "GET", f"{made.url}/metrics") == 403
        handler = management(made.metrics, made.door.health, PageRules())
        async with listening(handler, host="127.0.0.1", port=port, grace_s=0.1):
            found = [await status(made.session, way, f"http://127.0.0.1:{port}{path}") for way, path in calls]
    assert found == [200, 405, 200, 200, 404, 404, 404]


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
async def test_no_page_reads_the_management_port(tmp_path: Path, headers: dict[str, str]) -> None:
    port = free_port()
    async with asyncio.timeout(10), stand(tmp_path, nothing) as made:
        handler = management(made.metrics, made.door.health, PageRules(origins=()))
        async with (
            listening(handler, host="127.0.0.1", port=port, grace_s=0.1),
            made.session.get(f"http://127.0.0.1:{port}/metrics", headers=headers) as answer,
        ):
            assert (answer.status, list(await answer.json())) == (403, ["message"])


async def status(session: aiohttp.ClientSession, method: str, url: str) -> int:
    async with session.request(method, url) as answer:
        return answer.status
