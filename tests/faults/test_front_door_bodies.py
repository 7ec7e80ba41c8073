"""A body that breaks off in the middle of a call to the front door: the caller's fault, and told as such."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from tests.contract.frontdoor.test_bodies import answer_nothing, head
from tests.contract.frontdoor.test_relay import stand
from tests.faults.harness import received


async def test_a_broken_second_chunk_is_a_validation_error(tmp_path: Path):
    async with stand(tmp_path, answer_nothing) as made:
        port = int(made.url.rsplit(":", 1)[1])
        sent = head(made, 5).replace(b"Content-Length: 5", b"Transfer-Encoding: chunked")
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            client.sendall(sent + b"5\r\nhello\r\n")
            await asyncio.sleep(0.2)  # the call is being served by then
            client.sendall(b"-1\r\nx\r\n0\r\n\r\n")
            answer = await asyncio.to_thread(received, client)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"ValidationError" in answer
    assert b"in the chunks" in answer
