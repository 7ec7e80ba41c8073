"""Deltas to one HTTP response: streamed with a chunk for each token, or whole."""

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
from nearstream.replica.calls import Call
from nearstream.replica.generation import generate
from nearstream.replica.prompts import Entropy, Prompt, prepare
from nearstream.replica.readiness import Readiness, ServedModel
from nearstream.replica.settings import ServerSettings
from nearstream.replica.timings import Timings
from nearstream.replica.writer import ResponseWriter
from nearstream.tasks import alongside
from nearstream.wire.dialects.port import ErrorResponse, ParsedBody
from nearstream.wire.framing import sse

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ServerContext:
    """What a server answers every call with."""

    settings: ServerSettings
    readiness: Readiness
    admission: Admission
    entropy: Entropy
    clock: Clock
    """Monotonic, seconds."""
    new_id: Callable[[], str]

    def identity(self) -> Identity:
        return Identity(
            id=self.new_id(),
            model=self.settings.model_id,
            created=int(self.entropy.now().timestamp()),
            system_fingerprint=f"{self.settings.terms.release.version}-native",
        )


async def respond(
    request: web.Request, parsed: ParsedBody, context: ServerContext, call: Call
) -> web.StreamResponse:
    """Answer one call, with an error response if it cannot be served."""
    timings = Timings(context.clock)
    try:
        model = context.readiness.model()
        with context.admission.enter() as permits:
            generation = parsed.call()
            permits.take(len(generation.requests))
            prompts = await prepare(
                generation,
                model,
                entropy=context.entropy,
                max_tokens=context.settings.terms.limits.max_total_tokens,
            )
            timings.prepared()
            response = _Response(request, generation, prompts, model, context, call)
            return await (response.stream() if generation.stream else response.whole(timings))
    except NearstreamError as error:
        call.failed(error)
        return await _failed(request, parsed.error(error), context)


def error_response(error: ErrorResponse) -> web.Response:
    """An error that is not part of a stream."""
    media, _, charset = error.content_type.partition("; charset=")
    return web.Response(status=error.status, body=error.body, content_type=media, charset=charset or None)


@dataclass(frozen=True, slots=True)
class _Response:
    """The response to one call whose prompts are ready."""

    request: web.Request
    generation: GenerationCall
    prompts: Sequence[Prompt]
    model: ServedModel
    context: ServerContext
    call: Call

    async def stream(self) -> web.StreamResponse:
        """Raises what fails before the first byte; after it a failure is the encoder's last frame."""
        encoder = self.generation.encoder(self.context.identity())
        writer = _writer(self.request, self.generation.content_type, self.context, self._characters())
        async with generate(self.prompts, self.model, self.call) as deltas, self._keepalive(writer):
            try:
                try:
                    async for delta in deltas:
                        await _write(writer, encoder, delta)
                except NearstreamError as error:
                    if not writer.opened:
                        raise
                    _log.warning("answer failed", error=str(error), kind=type(error).__name__)
                    await writer.write_parts(encoder.fail(error))
                return await writer.close()
            except ConnectionError as error:
                _log.debug("client disconnected", error=str(error))
                return writer.abandon()  # leaving `generate` aborts the engine's work
            except Exception:
                if not writer.opened:
                    raise
                _log.exception("answer failed unexpectedly")
                await writer.write_parts(encoder.fail(GenerationFailed("internal error")))
                return await writer.close()

    async def whole(self, timings: Timings) -> web.Response:
        encoder, body, finishes = self.generation.encoder(self.context.identity()), b"", list[Finish]()
        async with generate(self.prompts, self.model, self.call) as deltas:
            async for delta in deltas:
                payload = encoder.feed(delta)
                body = b"".join(payload) if isinstance(payload, tuple) else payload
                if delta.finish is not None:
                    finishes.append(delta.finish)
        headers = _compute_headers(self.context, characters=self._characters())
        if headers:
            headers |= timings.headers(finishes, queued_s=self.call.queued_s)
        return web.Response(body=body, content_type=self.generation.content_type, headers=headers)

    def _keepalive(self, writer: ResponseWriter) -> AbstractAsyncContextManager[object]:
        payload, every_s = self.generation.keepalive, self.context.settings.keepalive_s
        return alongside(writer.keep_alive(payload, every_s=every_s)) if payload else nullcontext()

    def _characters(self) -> int:
        """Of every prompt, each counted once."""
        return sum(len(text) for text in {prompt.text for prompt in self.prompts})


async def _write(writer: ResponseWriter, encoder: Encoder, delta: Delta) -> None:
    payload = encoder.feed(delta)
    if delta.finish is not None or isinstance(payload, tuple):
        await writer.write_parts(payload)
    elif payload:
        await writer.write(payload)


async def _failed(request: web.Request, error: ErrorResponse, context: ServerContext) -> web.StreamResponse:
    if error.content_type != sse.CONTENT_TYPE:
        return error_response(error)
    writer = _writer(request, error.content_type, context, 0)
    await writer.write_parts(error.body)
    return await writer.close()


def _writer(
    request: web.Request, content_type: str, context: ServerContext, characters: int
) -> ResponseWriter:
    headers = {
        "Content-Type": content_type,
        "Cache-Control": "no-cache",
        "X-Accel-Buffering": "no",
    }
    response = web.StreamResponse(headers=headers | _compute_headers(context, characters=characters))
    return ResponseWriter(request, response, stall_s=context.settings.stall_s)


def _compute_headers(context: ServerContext, *, characters: int) -> dict[str, str]:
    if context.settings.compute_type is None:
        return {}
    return {
        "x-compute-type": context.settings.compute_type,
        "x-compute-characters": str(characters),
    }
