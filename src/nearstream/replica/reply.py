"""One call to one HTTP response: streamed with a chunk for each token, or whole."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

import structlog
from aiohttp import web

from nearstream.core.errors import GenerationFailed, Malformed, NearstreamError, NotReady, TemplateFailed
from nearstream.core.generation import Delta
from nearstream.core.ports import Clock, Encoder, Exchange, Identity
from nearstream.replica.admission import Admission
from nearstream.replica.answer import Chances, Prompt, deltas, prepare
from nearstream.replica.outlet import Outlet
from nearstream.replica.readiness import Readiness, ServedModel
from nearstream.replica.settings import ServerSettings
from nearstream.replica.timings import Timings
from nearstream.wire.dialects.dialect import Draft
from nearstream.wire.dialects.refusals import refusal

_log = structlog.get_logger(__name__)
# These come before a stream, with a status; every other refusal of a stream is told inside it.
_BEFORE_THE_STREAM = (Malformed, TemplateFailed, NotReady)


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

    def identity(self, prompt: Prompt) -> Identity:
        return Identity(
            id=self.new_id(),
            model=self.settings.model_id,
            created=int(self.chances.now().timestamp()),
            prompt_text=prompt.text,
            system_fingerprint=f"{self.settings.terms.release.version}-native",
        )


async def reply(request: web.Request, draft: Draft, desk: Desk) -> web.StreamResponse:
    """Answer a call, refusals included."""
    timings = Timings(desk.clock)
    try:
        model = desk.readiness.model()
        with desk.admission.enter():
            exchange = draft.exchange()
            limits = desk.settings.terms.limits
            prompt = await prepare(exchange.request, model, limits, chances=desk.chances)
            timings.prepared()
            if exchange.stream:
                return await _stream(request, exchange, prompt, model, desk)
            return await _whole(exchange, prompt, model, desk, timings)
    except NearstreamError as error:
        if not draft.stream or isinstance(error, _BEFORE_THE_STREAM):
            return refuse(error)
        return await _broken_stream(request, draft, error, desk)


def refuse(error: NearstreamError) -> web.Response:
    """An error with its status."""
    refused = refusal(error)
    return web.Response(status=refused.status, body=refused.body, content_type="application/json")


async def _stream(
    request: web.Request, exchange: Exchange, prompt: Prompt, model: ServedModel, desk: Desk
) -> web.StreamResponse:
    """The first token decides: whatever fails before it can still be told by a status."""
    encoder = exchange.encoder(desk.identity(prompt))
    async with aclosing(deltas(prompt, model)) as answer:
        first = await anext(answer)
        outlet = _outlet(request, exchange.content_type, desk, characters=len(prompt.text))
        try:
            await outlet.open()
            await _tell(outlet, encoder, first)
            try:
                async for delta in answer:
                    await _tell(outlet, encoder, delta)
            except NearstreamError as error:
                _log.warning("answer broke", error=str(error), kind=type(error).__name__)
                await outlet.write_events(encoder.fail(error))
            return await outlet.close()
        except ConnectionError as error:
            _log.debug("client left", error=str(error))
            return outlet.abandon()  # closing the deltas aborts the engine
        except Exception:  # noqa: BLE001 - the edge: after the first byte a failure is a frame
            _log.exception("answer broke unexpectedly")
            await outlet.write_events(encoder.fail(GenerationFailed("internal error")))
            return await outlet.close()


async def _tell(outlet: Outlet, encoder: Encoder, delta: Delta) -> None:
    payload = encoder.feed(delta)
    await (outlet.write(payload) if delta.finish is None else outlet.write_events(payload))


async def _whole(
    exchange: Exchange, prompt: Prompt, model: ServedModel, desk: Desk, timings: Timings
) -> web.Response:
    encoder, body, finish = exchange.encoder(desk.identity(prompt)), b"", None
    async with aclosing(deltas(prompt, model)) as answer:
        async for delta in answer:
            body = encoder.feed(delta)
            finish = delta.finish
    if finish is None:
        raise GenerationFailed("the engine ended without finishing the answer")
    headers = timings.headers(finish) | _compute_headers(desk, characters=len(prompt.text))
    return web.Response(body=body, content_type=exchange.content_type, headers=headers)


async def _broken_stream(
    request: web.Request, draft: Draft, error: NearstreamError, desk: Desk
) -> web.StreamResponse:
    outlet = _outlet(request, draft.content_type, desk, characters=0)
    await outlet.open()
    await outlet.write_events(draft.broken(error))
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
    return {
        "x-compute-type": desk.settings.compute_type,
        "x-compute-characters": str(characters),
    }
