"""A model server's life: listen, load, open, serve, drain, close."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import socket
import stat
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import structlog
from aiohttp import web

from nearstream.core.errors import Unusable
from nearstream.core.ports import Engine
from nearstream.replica.admission import Admission
from nearstream.replica.answer import Chances
from nearstream.replica.app import build_app
from nearstream.replica.batch import Batch
from nearstream.replica.calls import Calls, note
from nearstream.replica.info import batch_tokens
from nearstream.replica.operation import Operation
from nearstream.replica.readiness import Readiness, ServedModel
from nearstream.replica.reply import Desk
from nearstream.replica.scheduled import ScheduledEngine
from nearstream.replica.settings import ServerSettings
from nearstream.telemetry.spans import Trace, untraced
from nearstream.telemetry.tgi import TgiMetrics
from nearstream.text.template import load_template
from nearstream.text.tokenizer import load_tokenizer

_log = structlog.get_logger(__name__)
BACKLOG = 1024
EngineFactory = Callable[[], AbstractAsyncContextManager[Engine]]


async def serve(
    settings: ServerSettings,
    engine_factory: EngineFactory,
    *,
    stop: asyncio.Event | None = None,
    trace: Trace = untraced,
    on_listening: Callable[[Sequence[str]], None] = lambda addresses: None,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve until `stop` is set (without it: until SIGTERM or SIGINT), then drain and return.

    Listens at once and answers 503 until `engine_factory`'s engine is open, which it must be warm by then.
    `on_listening` gets the addresses, `http://host:port` and `unix:/path`; `trace` gets each call once it has
    ended. Raises Unusable for a model or an address that cannot be used, and what the factory raises.
    """
    readiness, operation = Readiness(), _operation(settings, trace)
    runner = web.AppRunner(
        build_app(_desk(settings, readiness), operation),
        handler_cancellation=True,  # a client that leaves cancels its answer, even between tokens
        handle_signals=False,
        access_log=None,
        shutdown_timeout=settings.grace_s,
    )
    await runner.setup()
    try:
        async with _listening(runner, settings) as addresses, _stopped(stop) as stopped:
            on_listening(addresses)
            async with asyncio.TaskGroup() as tasks:
                holder = tasks.create_task(
                    _hold(settings, engine_factory, readiness, operation.batch, on_ready)
                )
                await stopped.wait()
                _log.info("draining", grace_s=settings.grace_s)
                readiness.drain()
                await runner.cleanup()
                holder.cancel()
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    finally:
        await runner.cleanup()


def _desk(settings: ServerSettings, readiness: Readiness) -> Desk:
    return Desk(
        settings=settings,
        readiness=readiness,
        admission=Admission(settings.terms.limits.max_concurrent_requests, on_failure=note),
        chances=Chances(now=lambda: datetime.now(UTC), seed=lambda: secrets.randbits(63)),
        clock=time.perf_counter,
        new_id=lambda: secrets.token_hex(12),
    )


def _operation(settings: ServerSettings, trace: Trace) -> Operation:
    limits = settings.terms.limits
    metrics = TgiMetrics(max_input_tokens=limits.max_input_tokens, max_total_tokens=limits.max_total_tokens)
    batch = Batch(
        max_size=settings.max_batch_size,
        max_tokens=settings.max_batch_tokens,
        # Every admitted call may ask for several answers at once.
        max_waiting=limits.max_concurrent_requests * max(limits.max_best_of, limits.max_client_batch_size),
    )
    calls = Calls(metrics, time.perf_counter, lambda: secrets.token_hex(12), trace=trace)
    return Operation(calls, batch, max_tokens=batch_tokens(settings))


async def _hold(
    settings: ServerSettings,
    engine_factory: EngineFactory,
    readiness: Readiness,
    batch: Batch,
    on_ready: Callable[[], None],
) -> None:
    """Keep the engine open until cancelled."""
    tokenizer = await asyncio.to_thread(load_tokenizer, settings.model_directory)
    template = load_template(settings.model_directory, tokenizer.special)
    async with engine_factory() as engine:
        readiness.open(ServedModel(ScheduledEngine(engine, batch), tokenizer, template))
        on_ready()
        await asyncio.Event().wait()


@asynccontextmanager
async def _stopped(stop: asyncio.Event | None) -> AsyncIterator[asyncio.Event]:
    if stop is not None:
        yield stop
        return
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, event.set)
    try:
        yield event
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


@asynccontextmanager
async def _listening(runner: web.AppRunner, settings: ServerSettings) -> AsyncIterator[list[str]]:
    """Open the ports and sockets that the settings name, and give their addresses."""
    addresses = []
    if settings.socket is not None:
        await web.SockSite(runner, _unix_socket(settings.socket), backlog=BACKLOG).start()
        addresses.append(f"unix:{settings.socket}")
    if settings.port is not None:
        site = web.TCPSite(runner, settings.host, settings.port, backlog=BACKLOG)
        try:
            await site.start()
        except OSError as error:
            raise Unusable(f"cannot listen on {settings.host}:{settings.port}: {error}") from error
        port = runner.addresses[-1][1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        addresses.append(f"http://{host}:{port}")
    if not addresses:
        raise Unusable("nothing to listen on: name a port or a socket")
    try:
        yield addresses
    finally:
        if settings.socket is not None:
            settings.socket.unlink(missing_ok=True)


def _unix_socket(path: Path) -> socket.socket:
    """Bound and private before anyone can connect: it listens only later."""
    _clear_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
    except OSError as error:
        listener.close()
        raise Unusable(f"cannot listen on {path}: {error}") from error
    return listener


def _clear_stale(path: Path) -> None:
    """Remove the socket of a server that is gone. Raises Unusable for one that answers, or another file."""
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise Unusable(f"cannot listen on {path}: it is there already and no socket")
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink()
            return
    raise Unusable(f"cannot listen on {path}: another server does")
