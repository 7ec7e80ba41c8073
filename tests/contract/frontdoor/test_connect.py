"""The proxy on the front door's port: through it to AWS's names and to other hosts."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from tests.support.ports import free_port
from tests.support.waiting import until

from nearstream.frontdoor import connect, tunnels
from nearstream.frontdoor.connect import Proxy
from nearstream.frontdoor.listener import Entrance, listening
from nearstream.frontdoor.tls import Certificates
from nearstream.frontdoor.tunnels import ParentProxy, Route
from nearstream.home.authority import open_authority

AWS = "sts.us-east-1.amazonaws.com"


@dataclass
class Door:
    port: int
    trust: ssl.SSLContext
    proxy: Proxy

    async def connect(self, head: str) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
        """The status line of the answer to a CONNECT, and the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(head.encode())
        line = (await reader.readuntil(b"\r\n")).strip()
        if b" 200 " in line:
            await reader.readuntil(b"\r\n")
        return line, reader, writer


@asynccontextmanager
async def door(
    folder: Path, route: Route | None = None, *, ports: tuple[int, ...] = (443,), tls: bool = False
):
    authority = open_authority(folder / "authority.pem", own_names=["localhost"])
    certificates = Certificates(authority, ["localhost", "127.0.0.1"], clock=lambda: 0.0)
    proxy, port = Proxy(certificates, route or Route(), ports=ports), free_port()
    trust = ssl.create_default_context(cadata=authority.pem.decode())

    async def echo(request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        return web.Response(text=f"{request.method} {request.headers['Host']} {request.path} {len(body)}")

    entrance = Entrance(None, certificates.for_site() if tls else None, proxy.entrance)
    async with proxy.running(), listening(echo, host="127.0.0.1", port=port, grace_s=0.1, entrance=entrance):
        yield Door(port, trust, proxy)


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Door]:
    async with door(tmp_path) as made:
        yield made


@asynccontextmanager
async def other_host(*, monkeypatch: pytest.MonkeyPatch, allowed: bool = True):
    """A server that sends back what it gets, on this machine: allowed for once."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            writer.write(piece)
        writer.write(b"end")
        writer.close()

    if allowed:
        monkeypatch.setattr(tunnels, "is_off_limits", lambda *_: False)
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_call_under_awss_name_ends_at_the_front_door(here: Door) -> None:
    async with aiohttp.ClientSession() as session:
        proxy = f"http://127.0.0.1:{here.port}"
        for host in (AWS, "bucket.s3.amazonaws.com", "logs.eu-west-1.amazonaws.com"):
            sent = session.post(f"https://{host}/path", data=b"x" * 100_000, proxy=proxy, ssl=here.trust)
            async with sent as answer:
                assert await answer.text() == f"POST {host} /path 100000"


async def test_plain_calls_work_on_the_same_port(here: Door) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{here.port}/p") as answer:
        assert await answer.text() == f"GET 127.0.0.1:{here.port} /p 0"


@pytest.mark.parametrize("cut", [1, 3, 7, 8, 9, 20])
async def test_first_bytes_may_come_in_any_pieces(here: Door, cut: int) -> None:
    for head, wanted in (
        (f"CONNECT {AWS}:443 HTTP/1.1\r\n\r\n", b"HTTP/1.1 200"),
        ("COPY /copy HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200"),
        ("C /c HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.0 400"),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (head[:cut], head[cut:]):
            writer.write(piece.encode())
            await writer.drain()
            await asyncio.sleep(0)
        assert (await reader.readuntil(b"\r\n")).startswith(wanted)
        writer.close()


async def test_a_client_that_trusts_another_authority_is_not_served(here: Door) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(f"https://{AWS}/", proxy=f"http://127.0.0.1:{here.port}")
        async with session.get(
            f"https://{AWS}/", proxy=f"http://127.0.0.1:{here.port}", ssl=here.trust
        ) as answer:
            assert answer.status == 200


async def test_half_a_handshake_is_ended(here: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "HANDSHAKE_S", 0.1)
    line, reader, writer = await here.connect(f"CONNECT {AWS}:443 HTTP/1.1\r\n\r\n")
    assert b" 200 " in line
    writer.write(b"\x16\x03\x01\x02\x00\x01")
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 5)
    await until(lambda: not here.proxy._open)


async def test_half_a_head_is_ended(here: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "HEAD_S", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    writer.write(b"CONNECT sts")
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 5)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (f"CONNECT {AWS}:80 HTTP/1.1\r\n\r\n", 403),
        (f"CONNECT {AWS}:443 HTTP/1.1\r\nOrigin: https://evil.example\r\n\r\n", 403),
        (f"CONNECT {AWS}:443 HTTP/1.1\r\nSec-Fetch-Mode: cors\r\n\r\n", 403),
        (f"CONNECT {AWS}:443 HTTP/1.1\r\n\r\nearly", 400),
        ("CONNECT localhost:443 HTTP/1.1\r\n\r\n", 403),
        ("CONNECT 127.0.0.1:443 HTTP/1.1\r\n\r\n", 403),
        ("CONNECT [::1]:443 HTTP/1.1\r\n\r\n", 403),
        ("CONNECT [::ffff:127.0.0.1]:443 HTTP/1.1\r\n\r\n", 403),
        ("CONNECT 0.0.0.0:443 HTTP/1.1\r\n\r\n", 403),
        ("CONNECT 0:443 HTTP/1.1\r\n\r\n", 403),
        ("CONNECT 127.1:443 HTTP/1.1\r\n\r\n", 403),
        ("CONNECT 169.254.169.254:443 HTTP/1.1\r\n\r\n", 403),
        ("CONNECT 224.0.0.1:443 HTTP/1.1\r\n\r\n", 403),
        ("CONNECT 192.0.2.1:22 HTTP/1.1\r\n\r\n", 403),
        ("CONNECT nowhere.invalid:443 HTTP/1.1\r\n\r\n", 502),
        ("CONNECT host HTTP/1.1\r\n\r\n", 400),
        ("CONNECT host:0 HTTP/1.1\r\n\r\n", 400),
        ("CONNECT host:-1 HTTP/1.1\r\n\r\n", 400),
        ("CONNECT host:99999 HTTP/1.1\r\n\r\n", 400),
        ("CONNECT host:443 SMTP\r\n\r\n", 400),
        ("CONNECT " + "a" * 9000, 400),
    ],
)
async def test_what_the_proxy_does_not_reach_is_refused(here: Door, head: str, status: int) -> None:
    line, reader, _ = await here.connect(head)
    assert line.startswith(f"HTTP/1.1 {status} ".encode())
    assert await reader.read()  # says why, and ends


async def test_a_tunnel_carries_bytes_untouched_both_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with other_host(monkeypatch=monkeypatch) as port, door(tmp_path, ports=(port,)) as here:
        line, reader, writer = await here.connect(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: h\r\n\r\n")
        assert b" 200 " in line
        sent = bytes(range(256)) * 4096

        async def send() -> None:
            writer.write(sent)
            await writer.drain()
            writer.write_eof()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(send())
            assert await reader.read(-1) == sent + b"end"
        await until(lambda: not here.proxy._open)


async def test_a_tunnel_that_says_nothing_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnels.pump, "__kwdefaults__", {"idle_s": 0.1, "half_open_s": 0.1})
    async with other_host(monkeypatch=monkeypatch) as port, door(tmp_path, ports=(port,)) as here:
        _, reader, _ = await here.connect(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        await until(lambda: not here.proxy._open)


async def test_a_tunnel_whose_other_side_never_ends_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnels.pump, "__kwdefaults__", {"idle_s": 60.0, "half_open_s": 0.1})
    silent = await asyncio.start_server(lambda _, __: None, "127.0.0.1", 0)
    monkeypatch.setattr(tunnels, "is_off_limits", lambda *_: False)
    port = silent.sockets[0].getsockname()[1]
    async with silent, door(tmp_path, ports=(port,)) as here:
        _, reader, writer = await here.connect(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b""
        await until(lambda: not here.proxy._open)


async def test_tunnels_have_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "MOST_TUNNELS", 2)
    async with other_host(monkeypatch=monkeypatch) as port, door(tmp_path, ports=(port,)) as here:
        head = f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n"
        opened = [await here.connect(head) for _ in range(2)]
        line, _, _ = await here.connect(head)
        assert line == b"HTTP/1.1 503 Service Unavailable"
        opened[0][2].close()
        await until(lambda: len(here.proxy._open) == 1)
        assert b" 200 " in (await here.connect(head))[0]


async def test_the_end_of_a_site_cuts_its_tunnels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with other_host(monkeypatch=monkeypatch) as port:
        async with door(tmp_path, ports=(port,)) as here:
            _, reader, _ = await here.connect(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n")
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_other_machines_get_no_tunnels(here: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "_is_loopback", lambda _: False)
    line, _, _ = await here.connect("CONNECT pypi.org:443 HTTP/1.1\r\n\r\n")
    assert line == b"HTTP/1.1 403 Forbidden"
    line, _, _ = await here.connect(f"CONNECT {AWS}:443 HTTP/1.1\r\n\r\n")
    assert b" 200 " in line


@asynccontextmanager
async def parent(answer: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A proxy of the machine: what it was asked, and its one answer."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


async def test_other_hosts_are_reached_through_the_machines_proxy(tmp_path: Path) -> None:
    async with parent(b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\nhello") as (port, asked):
        route = Route(tunnels.parent_proxy(f"http://user:p%40ss@127.0.0.1:{port}"))
        async with door(tmp_path, route) as here:
            line, reader, _ = await here.connect("CONNECT pypi.org:443 HTTP/1.1\r\n\r\n")
            assert b" 200 " in line and await reader.read() == b"hello"
            assert asked[0].startswith(b"CONNECT pypi.org:443 HTTP/1.1\r\n")
            assert b"Proxy-Authorization: Basic dXNlcjpwQHNz\r\n" in asked[0]
            for off in ("localhost", "a.localhost", "127.0.0.1"):
                assert (await here.connect(f"CONNECT {off}:443 HTTP/1.1\r\n\r\n"))[0].startswith(
                    b"HTTP/1.1 403"
                )


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 407 Key wanted\r\n\r\n", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200", b""]
)
async def test_a_machines_proxy_that_refuses_is_a_bad_gateway(tmp_path: Path, answer: bytes) -> None:
    async with parent(answer) as (port, _), door(tmp_path, Route(ParentProxy("127.0.0.1", port))) as here:
        line, _, _ = await here.connect("CONNECT pypi.org:443 HTTP/1.1\r\n\r\n")
        assert line == b"HTTP/1.1 502 Bad Gateway"


async def test_hosts_that_no_proxy_names_are_reached_directly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with other_host(monkeypatch=monkeypatch) as port:
        route = Route(ParentProxy("127.0.0.1", 1), direct=lambda host: host == "127.0.0.1")
        async with door(tmp_path, route, ports=(port,)) as here:
            assert b" 200 " in (await here.connect(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n"))[0]


async def test_a_front_door_with_tls_serves_its_own_name_and_awss(tmp_path: Path) -> None:
    async with door(tmp_path, tls=True) as here, aiohttp.ClientSession() as session:
        async with session.get(f"https://127.0.0.1:{here.port}/p", ssl=here.trust) as answer:
            assert await answer.text() == f"GET 127.0.0.1:{here.port} /p 0"
        async with session.get(
            f"https://localhost:{here.port}/p", ssl=here.trust, server_hostname=AWS, headers={"Host": AWS}
        ) as answer:
            assert await answer.text() == f"GET {AWS} /p 0"
        async with session.get(
            f"https://{AWS}/", proxy=f"https://localhost:{here.port}", ssl=here.trust
        ) as answer:
            assert await answer.text() == f"GET {AWS} / 0"
