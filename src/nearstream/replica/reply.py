"""One call to one HTTP response: streamed with a chunk for each token, or whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass

import structlog
from aiohttp import web

from nearstream.core.errors import GenerationFailed, NearstreamError
from nearstream.core.generation import Delta, Finish
from nearstream.core.ports import Clock, Encoder, GenerationCall, Identity
from nearstream.replica.admission import Admission
from nearstream.replica.answer import Chances, Prompt, prepare
from nearstream.replica.answers import answers
from nearstream.replica.outlet import Outlet
from nearstream.replica.readiness import Readiness, ServedModel
from nearstream.replica.settings import ServerSettings
from nearstream.replica.timings import Timings
from nearstream.tasks import alongside
from nearstream.wire.dialects.port import Draft, Refusal
from nearstream.wire.framing import sse

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Desk:
    """What every call is answered with."""

    settings: ServerSettings
    readiness: Readiness
    admission: Admission
    chances: Chances
    clock: Clock
    """Monotonic, seconds."""
    new_id: Callable[[], str]

    def identity(self) -> Identity:
        return Identity(
            id=self.new_id(),
            model=self.settings.model_id,
            created=int(self.chances.now().timestamp()),
            system_fingerprint=f"{self.settings.terms.release.version}-native",
        )


async def reply(request: web.Request, draft: Draft, desk: Desk) -> web.StreamResponse:
    """Answer a call, refusals included."""
    timings = Timings(desk.clock)
    try:
        model = desk.readiness.model()
        with desk.admission.enter() as permits:
            exchange = draft.exchange()
            permits.take(len(exchange.requests))
            prompts = await prepare(exchange, model, chances=desk.chances)
            timings.prepared()
            if exchange.stream:
                return await _stream(request, exchange, prompts, model, desk)
            return await _whole(exchange, prompts, model, desk, timings)
    except NearstreamError as error:
        return await _refused(request, draft.refusal(error), desk)


def refused(refusal: Refusal) -> web.Response:
    """A refusal that is no stream."""
    media, _, charset = refusal.content_type.partition("; charset=")
    return web.Response(status=refusal.status, body=refusal.body, content_type=media, charset=charset or None)


async def _stream(
    request: web.Request, exchange: GenerationCall, prompts: Sequence[Prompt], model: ServedModel, desk: Desk
) -> web.StreamResponse:
    """The first byte decides: whatever fails before it can still be told by a status."""
    encoder = exchange.encoder(desk.identity())
    outlet = _outlet(request, exchange.content_type, desk, characters=_characters(prompts))
    async with answers(prompts, model) as made, _kept_alive(outlet, exchange.keepalive, desk):
        try:
            try:
                async for delta in made:
                    await _tell(outlet, encoder, delta)
            except NearstreamError as error:
                if not outlet.opened:
                    raise
                _log.warning("answer broke", error=str(error), kind=type(error).__name__)
                await outlet.write_parts(encoder.fail(error))
            return await outlet.close()
        except ConnectionError as error:
            _log.debug("client left", error=str(error))
            return outlet.abandon()  # leaving the answers aborts the engine
        except Exception:
            if not outlet.opened:
                raise
            _log.exception("answer broke unexpectedly")
            await outlet.write_parts(encoder.fail(GenerationFailed("internal error")))
            return await outlet.close()


def _kept_alive(outlet: Outlet, keepalive: bytes, desk: Desk) -> AbstractAsyncContextManager[object]:
    every_s = desk.settings.keepalive_s
    return alongside(outlet.beat(keepalive, every_s=every_s)) if keepalive else nullcontext()


async def _tell(outlet: Outlet, encoder: Encoder, delta: Delta) -> None:
    payload = encoder.feed(delta)
    if delta.finish is not None or isinstance(payload, tuple):
        await outlet.write_parts(payload)
    elif payload:
        await outlet.write(payload)


async def _whole(
    exchange: GenerationCall, prompts: Sequence[Prompt], model: ServedModel, desk: Desk, timings: Timings
) -> web.Response:
    encoder, body, finishes = exchange.encoder(desk.identity()), b"", list[Finish]()
    async with answers(prompts, model) as made:
        async for delta in made:
            said = encoder.feed(delta)
            body = b"".join(said) if isinstance(said, tuple) else said
            if delta.finish is not None:
                finishes.append(delta.finish)
    headers = _compute_headers(desk, characters=_characters(prompts))
    if headers:
        headers |= timings.headers(finishes)
    return web.Response(body=body, content_type=exchange.content_type, headers=headers)


async def _refused(request: web.Request, refusal: Refusal, desk: Desk) -> web.StreamResponse:
    if refusal.content_type != sse.CONTENT_TYPE:
        return refused(refusal)
    outlet = _outlet(request, refusal.content_type, desk, characters=0)
    await outlet.write_parts(refusal.body)
    return await outlet.close()


def _outlet(request: web.Request, content_type: str, desk: Desk, *, characters: int) -> Outlet:
    headers = {
        "Content-Type": content_type,
        "Cache-Control": "no-cache",
        "X-Accel-Buffering": "no",
    }
    response = web.StreamResponse(headers=headers | _compute_headers(desk, characters=characters))
    return Outlet(request, response, stall_s=desk.settings.stall_s)


def _compute_headers(desk: Desk, *, characters: int) -> dict[str, str]:
    if desk.settings.compute_type is None:
        return {}
    return {
        "x-compute-type": desk.settings.compute_type,
        "x-compute-characters": str(characters),
    }


def _characters(prompts: Sequence[Prompt]) -> int:
    """Of every prompt, each counted once."""
    return sum(len(text) for text in {prompt.text for prompt in prompts})
