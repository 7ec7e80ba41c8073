"""Compressed bodies are read in four codings, within the limit of a body, and never hold up the others."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import zlib
from collections.abc import Callable

import brotli
import pytest
from tests.faults.harness import exchange, post
from tests.faults.servers import echo_app, longest_pause

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LIMIT = 1 << 20
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}


def bomb(coding: str, *, size: int = 512 << 20) -> bytes:
    """Zeros, compressed as far as that goes."""
    if coding == "gzip":
        compressor = zlib.compressobj(9, wbits=31)
    elif coding == "deflate":
        compressor = zlib.compressobj(9)
    elif coding == "br":
        return brotli.compress(bytes(size // 4), quality=5)
    else:
        return zstd.compress(bytes(size // 4))
    step = bytes(1 << 20)
    return b"".join(compressor.compress(step) for _ in range(size >> 20)) + compressor.flush()


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_body_is_read_in(coding: str):
    body = json.dumps({"inputs": "hello " * 1000}).encode()
    async with echo_app(max_bytes=LIMIT) as echo:
        sent = post("/", CODINGS[coding](body), f"Content-Encoding: {coding}")
        answer = await asyncio.to_thread(exchange, echo.port, sent)
    assert answer.startswith(b"HTTP/1.1 200")
    assert echo.lengths == [len(body)]


@pytest.mark.parametrize("coding", CODINGS)
async def test_what_is_not_in_its_coding_is_refused(coding: str):
    async with echo_app(max_bytes=LIMIT) as echo:
        sent = post("/", b"\x00plain text", f"Content-Encoding: {coding}")
        answer = await asyncio.to_thread(exchange, echo.port, sent)
    assert answer.startswith(b"HTTP/1.1 400")
    assert echo.lengths == []


@pytest.mark.parametrize("coding", ["lzma", "compress", "gzip, gzip", "x-unknown"])
async def test_an_unknown_coding_is_refused_naming_those_that_are_taken(coding: str):
    async with echo_app(max_bytes=LIMIT) as echo:
        answer = await asyncio.to_thread(exchange, echo.port, post("/", b"{}", f"Content-Encoding: {coding}"))
    assert answer.startswith(b"HTTP/1.1 415")
    assert b"gzip, deflate, br, zstd" in answer


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_bomb_is_refused_and_holds_nobody_up(coding: str):
    sent = await asyncio.to_thread(lambda: post("/", bomb(coding), f"Content-Encoding: {coding}"))
    async with echo_app(max_bytes=LIMIT) as echo, longest_pause() as pauses:
        loop = asyncio.get_running_loop()
        began = loop.time()
        answers = await asyncio.gather(
            *(asyncio.to_thread(exchange, echo.port, sent) for _ in range(3)), return_exceptions=True
        )
        assert loop.time() - began < 10
    assert all(isinstance(answer, bytes) and answer.startswith(b"HTTP/1.1 413") for answer in answers)
    assert echo.lengths == []
    assert max(pauses) < 0.5  # of a machine that does other things too
