"""The front door before a stand-in replica: what it passes on, and what it says when the replica fails."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from tests.support.ports import free_port

from nearstream.client.async_client import AsyncClient
from nearstream.client.limits import ONCE
from nearstream.client.signing import Credentials as ClientCredentials
from nearstream.client.signing import signed
from nearstream.client.targets import SageMakerEndpoint
from nearstream.core.accounts import Account
from nearstream.core.endpoints import Endpoint, EndpointStatus, ProductionVariant
from nearstream.core.errors import CallFailed
from nearstream.core.replicas import Replica, ReplicaSpec, ReplicaState, UnixSocket
from nearstream.fleet.pool import Pool
from nearstream.fleet.snapshot import Fleet
from nearstream.frontdoor import relay as relay_module
from nearstream.frontdoor.access import Access, BodyBudget
from nearstream.frontdoor.api import Api, served
from nearstream.frontdoor.door import FrontDoor
from nearstream.frontdoor.invocations import Invocations
from nearstream.frontdoor.listener import listening
from nearstream.frontdoor.metrics import FrontDoorMetrics
from nearstream.frontdoor.relay import Relay
from nearstream.frontdoor.upstream.client import Upstreams
from nearstream.frontdoor.view import SiteView
from nearstream.home.keys import Credentials
from nearstream.services.runtime import service as runtime
from nearstream.services.runtime.invocations import Runtime
from nearstream.wire.aws.credentials import Credential
from nearstream.wire.aws.sigv4 import Verifier
from nearstream.wire.browsers import PageRules
from nearstream.wire.framing import eventstream

KEYS = Credentials("123456789012", "us-east-1", "AKIATEST", "secret")
SIGNING_KEYS = ClientCredentials(KEYS.access_key, KEYS.secret_key, KEYS.region)
EVENTS = [b"data: %d\n\n" % number for number in range(40)]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Stand:
    """A front door and its one replica, whose side of the wire a test plays."""

    client: AsyncClient
    url: str
    session: aiohttp.ClientSession
    pool: Pool
    metrics: FrontDoorMetrics
    door: FrontDoor
    heads: list[bytes] = field(default_factory=list)

    async def parts(self, body: bytes = b"{}") -> list[bytes]:
        return [part async for part in self.client.stream_bytes(body)]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def fleet(path: Path, *, status: EndpointStatus = EndpointStatus.IN_SERVICE) -> Fleet:
    variant = ProductionVariant("AllTraffic", "m")
    endpoint = Endpoint("e", "arn", "c", status, 0.0, 0.0, (variant,), ())
    spec = ReplicaSpec("e", "AllTraffic", "c", "primary", "tgi", "3.3.6", "builtin", "builtin")
    replica = Replica("r", spec, ReplicaState.READY, UnixSocket(str(path)), "", 0.0)
    return Fleet.of([endpoint], [replica], time.time())


@asynccontextmanager
async def stand(
    folder: Path, talk: Talk, *, budget: BodyBudget | None = None, pages: PageRules | None = None
) -> AsyncIterator[Stand]:
    """Each call to the replica is answered by `talk`, which gets the connection after the request's head."""
    path, port = folder / "r.sock", free_port()
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            await talk(reader, writer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    pool = Pool(random=random.random, clock=time.time)
    pool.update(fleet(path))
    account = Account(KEYS.account, KEYS.region)
    url = f"http://127.0.0.1:{port}"
    target = SageMakerEndpoint("e", SIGNING_KEYS, url)
    async with await asyncio.start_unix_server(serve, path), Upstreams() as upstreams:
        known = {KEYS.access_key: Credential(KEYS.access_key, KEYS.secret_key, KEYS.account)}
        access = Access(Verifier(known.get, region=KEYS.region), time.time, budget)
        view, invoker = SiteView(pool, account, url, "0", "objects"), Runtime(account)
        metrics = FrontDoorMetrics()
        invocations = Invocations(invoker, Relay(pool, upstreams, invoker, metrics), view, access)
        services = [served(runtime.SERVICE, relay=invocations.handle)]
        door = FrontDoor(api=Api(services, access), access=access, view=view, metrics=metrics, pages=pages)
        async with (
            listening(door.handle, host="127.0.0.1", port=port, grace_s=0.1),
            aiohttp.ClientSession() as session,
            AsyncClient(target, retries=ONCE) as client,
        ):
            yield Stand(client, url, session, pool, metrics, door, heads)


async def test_each_chunk_of_the_replica_is_one_part_however_its_bytes_are_cut(tmp_path: Path) -> None:
    cuts = random.Random(1)

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = HEAD + b"".join(map(chunk, EVENTS)) + b"0\r\n\r\n"
        while data:
            size = cuts.randint(1, 60)
            writer.write(data[:size])
            await writer.drain()
            await asyncio.sleep(0)
            data = data[size:]

    async with stand(tmp_path, talk) as made:
        assert await made.parts() == EVENTS


async def test_a_part_leaves_before_the_next_is_made(tmp_path: Path) -> None:
    seen = asyncio.Event()

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(b"first"))
        await seen.wait()
        writer.write(chunk(b"second") + b"0\r\n\r\n")

    async with stand(tmp_path, talk) as made:
        parts = []
        async for part in made.client.stream_bytes(b"{}"):
            parts.append(part)
            seen.set()
        assert parts == [b"first", b"second"]


async def test_a_replica_that_breaks_mid_stream_ends_in_an_exception_frame(tmp_path: Path) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(b"first") + b"ff\r\nhalf a chu")
        await writer.drain()

    async with stand(tmp_path, talk) as made:
        stream = made.client.stream_bytes(b"{}")
        assert await anext(stream) == b"first"
        with pytest.raises(CallFailed) as caught:
            await anext(stream)
        assert caught.value.code == "ModelStreamError"
        assert "closed the connection" in caught.value.message


async def test_a_stream_that_takes_too_long_ends_in_an_exception_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "STREAM_TIMEOUT_S", 0.2)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(b"first"))
        await reader.read(10)
        await reader.read(10)

    async with stand(tmp_path, talk) as made:
        with pytest.raises(CallFailed, match="did not complete sending the inference response") as caught:
            await made.parts()
        assert caught.value.code == "ModelStreamError"


async def test_a_refusal_of_the_replica_is_a_model_error_with_its_words(tmp_path: Path) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 422 No\r\nContent-Length: 9\r\n\r\nbad input")

    async with stand(tmp_path, talk) as made:
        with pytest.raises(CallFailed, match=r'client error \(422\) from primary with message "bad input"'):
            await made.parts()


@pytest.mark.parametrize("length", ["Content-Length: 1000000000000", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("status", [200, 500])
async def test_an_answer_without_end_is_read_no_further_than_its_bound(
    tmp_path: Path, status: int, length: str
) -> None:
    sent = 0

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{length}\r\n\r\n".encode())
        piece = b"x" * (1 << 18)
        with suppress(ConnectionError):
            while True:
                writer.write(chunk(piece) if "chunked" in length else piece)
                await writer.drain()
                sent += len(piece)

    async with stand(tmp_path, talk) as made:
        with pytest.raises(CallFailed) as caught:
            await made.client.invoke(b"{}")
    assert f"({0 if status == 200 else status}) from primary" in str(caught.value)
    assert ("InvokeEndpointWithResponseStream" in str(caught.value)) == (status == 200)
    assert sent < (relay_module.MAX_ANSWER_BYTES if status == 200 else 0) + (4 << 20)


async def test_a_replica_that_cannot_be_reached_is_tried_again_and_then_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "READY_WAIT_S", 0.0)

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Close without a word."""

    async with stand(tmp_path, talk) as made:
        with pytest.raises(CallFailed, match="No replica of the endpoint e is ready") as caught:
            await made.parts()
        assert caught.value.code == "ServiceUnavailable"


async def test_a_client_that_leaves_closes_the_replicas_connection(tmp_path: Path) -> None:
    left = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(b"first"))
        while await reader.read(100):
            pass
        left.set()

    async with stand(tmp_path, talk) as made:
        stream = made.client.stream_bytes(b"{}")
        assert await anext(stream) == b"first"
        assert made.pool.in_flight("r") == 1
        await stream.aclose()
        async with asyncio.timeout(5):
            await left.wait()
        assert made.pool.in_flight("r") == 0


async def test_the_replica_gets_the_callers_headers_and_none_of_its_signature(tmp_path: Path) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(b"x") + b"0\r\n\r\n")

    async with stand(tmp_path, talk) as made:
        await made.parts()
        head = made.heads[0].lower()
        assert b"content-type: application/json" in head
        assert b"authorization" not in head and b"x-amz" not in head


async def test_a_body_beyond_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise AssertionError

    async with stand(tmp_path, talk) as made:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(made.url.rsplit(":", 1)[1]))
        writer.write(
            b"POST /endpoints/e/invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n"
            b"Authorization: AWS4-HMAC-SHA256 Credential=AKIATEST/20260101/us-east-1/sagemaker/aws4_request, "
            b"SignedHeaders=host, Signature=0\r\n\r\n"
        )
        answer = await reader.readuntil(b"}")
        writer.close()
    assert b" 413 " in answer.splitlines()[0] and b"ValidationError" in answer


async def test_an_unsigned_call_is_refused(tmp_path: Path) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise AssertionError

    async with stand(tmp_path, talk) as made:
        for method, path in (
            ("POST", "/endpoints/e/invocations"),
            ("GET", "/nearstream/status"),
            ("POST", "/"),
        ):
            async with made.session.request(method, made.url + path, data=b"{}") as answer:
                assert answer.status == 403
                assert "MissingAuthenticationToken" in answer.headers.get(
                    "x-amzn-ErrorType", answer.headers.get("x-amzn-errortype", "")
                )


async def test_a_bug_of_ours_shows_its_id_and_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a detail of ours")

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise AssertionError

    monkeypatch.setattr(SiteView, "endpoint", broken)
    async with stand(tmp_path, talk) as made:
        with pytest.raises(CallFailed) as caught:
            await made.parts()
    assert caught.value.code == "InternalFailure"
    assert "detail" not in caught.value.message and "id " in caught.value.message


async def test_garbage_instead_of_http_closes_the_connection(tmp_path: Path) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise AssertionError

    async with stand(tmp_path, talk) as made:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(made.url.rsplit(":", 1)[1]))
        writer.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
        answer = await reader.read(4096)
        writer.close()
        assert b" 400 " in answer.splitlines()[0] and b"Traceback" not in answer
        async with made.session.get(made.url + "/health") as health:
            assert json.loads(await health.read())["status"] == "ok"


async def test_connections_are_used_again_and_a_stale_one_is_replaced(tmp_path: Path) -> None:
    opened = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        for _ in range(2):  # two answers, then the connection is closed while it idles
            writer.write(HEAD + chunk(b"x") + b"0\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")

    async with stand(tmp_path, talk) as made:
        assert [await made.parts() for _ in range(5)] == [[b"x"]] * 5
        assert 1 < opened < 5


async def test_a_slow_reader_holds_its_replica_back_and_loses_nothing(tmp_path: Path) -> None:
    sent = 0
    event = b"data: " + b"x" * 4000 + b"\n\n"

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(HEAD)
        for _ in range(4000):
            writer.write(chunk(event))
            await writer.drain()
            sent += 1
        writer.write(b"0\r\n\r\n")

    async with stand(tmp_path, talk) as made:
        stream = made.client.stream_bytes(b"{}")
        got = [await anext(stream)]
        before = -1
        while sent != before:  # the replica stops when every buffer on the way is full
            before = sent
            await asyncio.sleep(0.2)
        assert sent < 4000
        got += [part async for part in stream]
        assert len(got) == 4000 and set(got) == {event}


async def test_a_connection_whose_client_was_behind_at_the_end_serves_the_next_call(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(HEAD + chunk(b"x") + b"0\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")

    async def drained() -> None:
        """The client has read on."""

    async with asyncio.timeout(10), stand(tmp_path, talk), Upstreams() as upstreams:
        (replica,) = fleet(tmp_path / "r.sock").endpoints["e"].replicas
        for _ in range(3):
            async with upstreams.post(replica.address, "/invocations", b"", {}) as connection:
                await connection.pump(lambda _: True, drained)


async def test_a_proxy_that_speaks_http_1_0_gets_the_stream_to_its_end(tmp_path: Path) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"".join(map(chunk, EVENTS)) + b"0\r\n\r\n")

    async with (
        asyncio.timeout(10),
        stand(tmp_path, talk) as made,
        aiohttp.ClientSession(version=aiohttp.HttpVersion10) as session,
    ):
        url = f"{made.url}/endpoints/e/invocations-response-stream"
        headers = signed("POST", url, b"{}", {}, SIGNING_KEYS)
        async with session.post(url, data=b"{}", headers=headers) as response:
            parts = eventstream.Decoder().feed(await response.read())
        assert [part.payload for part in parts] == EVENTS


@pytest.mark.parametrize("status", [200, 204])
async def test_an_answer_of_a_replica_without_a_body_is_passed_on_at_once(
    tmp_path: Path, status: int
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = b"Content-Length: 0\r\n" if status != 204 else b""
        writer.write(b"HTTP/1.1 %d Done\r\n%b\r\n" % (status, length))
        await reader.read()

    async with asyncio.timeout(5), stand(tmp_path, talk) as made:
        assert await made.parts() == []


@pytest.mark.parametrize("size", [b"-6", b"0x5", b"0_5", b"+5", b" 5", b"5 "])
async def test_a_replica_that_frames_its_chunks_wrongly_ends_in_an_exception_frame(
    tmp_path: Path, size: bytes
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(b"first"))
        writer.write(size + b"\r\nhello\r\n0\r\n\r\n")
        await reader.read()

    async with asyncio.timeout(5), stand(tmp_path, talk) as made:
        with pytest.raises(CallFailed) as caught:
            await made.parts()
        assert caught.value.code == "ModelStreamError"


async def test_health_is_the_sites_and_each_endpoints(tmp_path: Path) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise AssertionError

    async with stand(tmp_path, talk) as made:

        async def status(path: str, method: str = "GET") -> int:
            async with made.session.request(method, made.url + path) as answer:
                assert method != "HEAD" or await answer.read() == b""
                return answer.status

        assert [await status(f"/health{path}") for path in ("", "/", "/e", "/other")] == [200, 200, 200, 404]
        made.pool.update(fleet(tmp_path / "r.sock", status=EndpointStatus.FAILED))
        assert [await status(f"/health{path}") for path in ("", "/e")] == [503, 503]
        made.pool.update(Fleet())
        assert await status("/health") == 200
        assert await status("/health", "HEAD") == 200
        assert [await status("/health", method) for method in ("POST", "PUT", "DELETE")] == [405] * 3
