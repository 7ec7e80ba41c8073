"""The clients against servers that a test plays: time limits, retries, errors, and closing at once."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from tests.support.waiting import until

import nearstream
from nearstream.client.limits import ONCE

EVENT = b'data: {"choices":[{"index":0,"text":"a"}]}\n\n'
QUICK = nearstream.Retries(attempts=3, first_wait_s=0.01)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def connected(handler: Handler, **options: Any) -> AsyncIterator[nearstream.AsyncClient]:
    """A client of a server that `handler` plays."""
    async with (
        server(handler) as url,
        nearstream.AsyncClient(nearstream.ModelServer(url), **options) as client,
    ):
        yield client


async def begun(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    return response


async def silent(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    raise AssertionError


async def stalled(request: web.Request) -> web.StreamResponse:
    response = await begun(request)
    await response.write(EVENT + EVENT)
    await asyncio.sleep(60)
    return response


async def endless(request: web.Request) -> web.StreamResponse:
    response = await begun(request)
    while True:
        await response.write(EVENT)
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("handler", "limit", "text"),
    [(silent, "first_byte", ""), (stalled, "between_tokens", "aa"), (endless, "total", "a")],
)
async def test_the_error_names_the_limit_that_passed(handler: Handler, limit: str, text: str) -> None:
    limits = nearstream.TimeLimits(**{f"{limit}_s": 0.2})
    async with connected(handler, limits=limits) as client:
        with pytest.raises(nearstream.TimedOut, match=f"within 0.2 s .*{limit}_s") as caught:
            await client.stream("Hi").read()
    assert caught.value.limit == limit
    assert caught.value.text.startswith(text)


async def test_a_connection_that_is_never_made_passes_the_limit_for_it() -> None:
    limits = nearstream.TimeLimits(connect_s=0.2)
    # A listener whose backlog is full takes no more connections, and refuses none.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        target = nearstream.ModelServer(f"http://127.0.0.1:{port}")
        async with nearstream.AsyncClient(target, limits=limits, retries=ONCE) as client:
            with pytest.raises(nearstream.TimedOut) as caught:
                await client.stream("Hi").read()
        for filler in fillers:
            filler.close()
    assert caught.value.limit == "connect"


async def test_nobody_there_is_unreachable() -> None:
    target = nearstream.ModelServer("http://127.0.0.1:9")
    async with nearstream.AsyncClient(target, retries=QUICK) as client:
        with pytest.raises(nearstream.Unreachable, match=r"http://127.0.0.1:9/v1/completions does not"):
            await client.stream("Hi").read()


@pytest.mark.parametrize(("refusals", "answered"), [(2, True), (3, False)])
async def test_a_server_that_has_no_room_is_tried_again(refusals: int, answered: bool) -> None:
    calls = 0

    async def busy(request: web.Request) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        if calls <= refusals:
            return web.json_response({"error": "Model is overloaded", "error_type": "overloaded"}, status=429)
        return web.Response(body=EVENT, content_type="text/event-stream")

    async with connected(busy, retries=QUICK) as client:
        if answered:
            assert await client.stream("Hi").read() == "a"
            return
        with pytest.raises(nearstream.CallFailed) as caught:
            await client.stream("Hi").read()
    error = caught.value
    assert (error.code, error.message, error.status) == ("overloaded", "Model is overloaded", 429)
    assert calls == 3


async def test_what_the_client_did_wrong_is_not_tried_again() -> None:
    calls = 0

    async def refuse(request: web.Request) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        return web.json_response({"error": {"message": "no", "type": "invalid_request_error"}}, status=400)

    async with connected(refuse, retries=QUICK) as client:
        with pytest.raises(nearstream.CallFailed, match="invalid_request_error: no"):
            await client.invoke({"inputs": "Hi"})
    assert calls == 1


async def test_a_stream_that_breaks_is_never_tried_again_and_has_its_text() -> None:
    calls = 0

    async def cut(request: web.Request) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        response = await begun(request)
        await response.write(EVENT)
        assert request.transport is not None
        request.transport.close()
        return response

    async with connected(cut, retries=QUICK) as client:
        with pytest.raises(nearstream.StreamFailed) as caught:
            await client.stream("Hi").read()
    assert (caught.value.code, caught.value.text, calls) == ("ConnectionClosed", "a", 1)


def watched(left: asyncio.Event) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await stalled(request)
        finally:
            left.set()

    return handle


async def test_leaving_the_block_closes_the_connection_at_once() -> None:
    left = asyncio.Event()
    async with connected(watched(left)) as client:
        async with client.stream("Hi") as stream:
            assert await anext(stream) == "a"
        async with asyncio.timeout(2):
            await left.wait()
        assert stream.text == "a"


async def test_cancelling_the_reader_closes_the_connection_at_once() -> None:
    left = asyncio.Event()
    async with connected(watched(left)) as client:
        stream = client.stream("Hi")
        reader = asyncio.ensure_future(stream.read())
        await until(lambda: stream.text == "aa")
        reader.cancel()
        async with asyncio.timeout(2):
            await left.wait()


async def test_closing_it_from_another_task_ends_the_reader() -> None:
    left = asyncio.Event()
    async with connected(watched(left)) as client:
        stream = client.stream("Hi")
        reader = asyncio.ensure_future(stream.read())
        await until(lambda: stream.text == "aa")
        await stream.aclose()
        assert await reader == "aa"
        async with asyncio.timeout(2):
            await left.wait()


async def test_openai_and_tgi_are_called_in_their_own_words() -> None:
    seen: list[tuple[str, object, str | None]] = []

    async def note(request: web.Request) -> web.StreamResponse:
        seen.append((request.path, await request.json(), request.headers.get("Authorization")))
        return web.Response(body=EVENT, content_type="text/event-stream")

    async with server(note) as url:
        openai = nearstream.ModelServer(url, model="m", api_key="k")
        tgi = nearstream.ModelServer(url, wire="tgi")
        async with nearstream.AsyncClient(openai) as client:
            await client.stream("Hi", max_new_tokens=3, parameters={"temperature": 0.5}).read()
            await client.chat("Hi").read()
        async with nearstream.AsyncClient(tgi) as client:
            await client.stream("Hi", max_new_tokens=3, parameters={"seed": 1}).read()
    usage = {"stream": True, "stream_options": {"include_usage": True}}
    hi = [{"role": "user", "content": "Hi"}]
    sampling = {"max_tokens": 3, "temperature": 0.5}
    details = {"details": True, "max_new_tokens": 3, "seed": 1}
    assert seen == [
        ("/v1/completions", {"model": "m", "prompt": "Hi", **sampling, **usage}, "Bearer k"),
        ("/v1/chat/completions", {"model": "m", "messages": hi} | usage, "Bearer k"),
        ("/generate_stream", {"inputs": "Hi", "parameters": details, "stream": True}, None),
    ]


async def test_a_whole_answer_is_json_and_its_headers_answer_to_lower_case() -> None:
    async def whole(request: web.Request) -> web.StreamResponse:
        return web.json_response([{"generated_text": "a"}], headers={"X-Mine": "1"})

    async with connected(whole) as client:
        response = await client.invoke({"inputs": "Hi"})
        assert response.json() == [{"generated_text": "a"}]
        assert response.headers["x-mine"] == "1"
        assert await client.warm_up()


async def test_the_parts_of_a_stream_come_as_they_are() -> None:
    async def parts(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"\x89PNG")

    async with connected(parts) as client, client.stream_bytes(b"{}") as stream:
        assert b"".join([part async for part in stream]) == b"\x89PNG"


async def test_the_client_without_asyncio_does_the_same() -> None:
    left = asyncio.Event()
    limits = nearstream.TimeLimits(between_tokens_s=0.2)

    def call(url: str) -> None:
        with nearstream.Client(nearstream.ModelServer(url), limits=limits) as client:
            with client.stream("Hi") as stream:
                assert next(stream) == "a"
                assert stream.ttft_s is not None
            with client.stream_bytes(b"{}") as parts:
                assert next(parts) == EVENT + EVENT
            with pytest.raises(nearstream.TimedOut) as caught:
                client.chat("Hi").read()
            assert (caught.value.limit, caught.value.text) == ("between_tokens", "aa")
        client.close()
        with pytest.raises(nearstream.Conflict, match="is closed"):
            client.invoke(b"{}")

    async with server(watched(left)) as url:
        await asyncio.to_thread(call, url)
        async with asyncio.timeout(2):
            await left.wait()


def test_a_client_that_is_forgotten_ends_its_thread() -> None:
    before = set(threading.enumerate())
    client = nearstream.Client(nearstream.ModelServer("http://127.0.0.1:9"))
    del client
    deadline = time.monotonic() + 5
    while set(threading.enumerate()) - before:
        assert time.monotonic() < deadline
        time.sleep(0.01)
