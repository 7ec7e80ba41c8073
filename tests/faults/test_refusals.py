"""What is no request is refused in the server's own dialect: JSON, no banner, one short line in the log."""

from __future__ import annotations

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import structlog
from tests.faults.harness import exchange
from tests.faults.servers import echo_door, model_server

from nearstream.connections.refusals import LOGGED_PER_PERIOD, RefusalLog

LONG = b"b" * 6000
HEALTH = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n"
CHUNKED = b"POST /generate HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
POST = b"POST /generate HTTP/1.1\r\nHost: 127.0.0.1\r\n"
CASES = {
    "tls": (b"\x16\x03\x01\x00\xff\r\n\r\n", 400),
    "no target": (b"GET\r\n\r\n", 400),
    "no method": (b" / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400),
    "no version": (b"GET / HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "no host": (b"GET /health HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: y\r\n\r\n", 400),
    "a header with a blank in its name": (b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nA b: c\r\n\r\n", 400),
    "a header without a colon": (b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nAb\r\n\r\n", 400),
    "a zero byte in a header": (b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nA: b\x00c\r\n\r\n", 400),
    "a header of 70 KB": (HEALTH + b"A: " + b"a" * 70_000 + b"\r\n\r\n", 431),
    "a target of 70 KB": (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 431),
    "500 headers": (
        HEALTH + b"".join(b"A%d: b\r\n" % at for at in range(500)) + b"\r\n",
        431,
    ),
    "a head without end": (
        HEALTH + b"".join(b"A%d: %b\r\n" % (at, LONG) for at in range(40)),
        431,
    ),
    "a target of another host": (b"GET http://y/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400),
    "a tunnel": (b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n", 405),
    "a length that is none": (POST + b"Content-Length: -5\r\n\r\n", 400),
    "a length with letters": (POST + b"Content-Length: 5x\r\n\r\n", 400),
    "two lengths": (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
    "a length beside chunks": (CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n", 400),
    "a chunk without a size": (CHUNKED + b"\r\nzz\r\nhello\r\n0\r\n\r\n", 400),
    "a chunk that is too long": (CHUNKED + b"\r\n5\r\nhelloXX\r\n0\r\n\r\n", 400),
    "a bad second chunk": (CHUNKED + b"\r\n5\r\nhello\r\n-1\r\nx\r\n0\r\n\r\n", 400),
}  # fmt: skip


def parsed(answer: bytes) -> tuple[int, dict[str, str], dict[str, object]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
    return int(status.split()[1]), headers, json.loads(body)


async def refused(server: AbstractAsyncContextManager[int], sent: bytes) -> tuple[int, dict, dict]:
    async with server as port:
        answer = await asyncio.to_thread(exchange, port, sent)
    status, headers, document = parsed(answer)
    assert "server" not in headers
    assert headers["content-type"] == "application/json"
    assert b"Traceback" not in answer
    assert b"aiohttp" not in answer
    return status, headers, document


@pytest.mark.parametrize("case", CASES)
async def test_a_model_server_refuses_what_is_no_request_as_its_other_errors(case: str, tmp_path: Path):
    sent, wanted = CASES[case]
    status, _, document = await refused(model_server(tmp_path), sent)
    assert status == wanted
    assert document.keys() == {"error", "error_type"}
    assert len(str(document["error"])) < 120


@pytest.mark.parametrize("case", CASES)
async def test_the_front_door_refuses_what_is_no_request_as_aws_does(case: str):
    sent, wanted = CASES[case]
    async with echo_door() as echo:
        status, headers, document = parsed(await asyncio.to_thread(exchange, echo.port, sent))
    assert status == wanted
    assert "server" not in headers
    assert headers["x-amzn-errortype"] == document["__type"]
    assert headers["x-amzn-requestid"]
    assert document["message"]


@pytest.mark.parametrize("length", [9_000, 60_000])
async def test_headers_are_taken_up_to_64_kib(length: int, tmp_path: Path):
    sent = (
        b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nA: " + b"a" * length + b"\r\n\r\n"
    )
    async with model_server(tmp_path) as port:
        assert (await asyncio.to_thread(exchange, port, sent)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("target", [b"http://x/echo?a=b", b"http://x:80/echo", b"HTTP://X/echo"])
async def test_an_absolute_target_of_the_same_host_is_served(target: bytes):
    sent = b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with echo_door() as echo:
        answer = await asyncio.to_thread(exchange, echo.port, sent)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"Server:" not in answer


def test_a_flood_of_refusals_makes_few_lines():
    now = [0.0]
    with structlog.testing.capture_logs() as lines:
        log = RefusalLog(lambda: now[0])
        for _ in range(1000):
            log.note(400, "a header is not valid HTTP", "10.0.0.1")
        now[0] = 61.0
        log.note(400, "a header is not valid HTTP", "10.0.0.1")
    assert len(lines) == LOGGED_PER_PERIOD + 2
    assert lines[-2] == {
        "event": "more requests refused", "log_level": "warning",
        "reason": "a header is not valid HTTP", "count": 1000 - LOGGED_PER_PERIOD,
    }  # fmt: skip


async def test_the_log_has_one_line_without_what_was_sent(tmp_path: Path):
    secret = b"Bearer sk-secret"
    with structlog.testing.capture_logs() as lines:
        async with model_server(tmp_path) as port:
            sent = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: " + secret + b"\x00\r\n\r\n"
            await asyncio.to_thread(exchange, port, sent)
    told = [line for line in lines if line["event"] == "request refused"]
    assert len(told) == 1
    assert "sk-secret" not in str(lines)
