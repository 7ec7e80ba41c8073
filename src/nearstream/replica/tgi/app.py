"""The model server's routes: TGI's own, SageMaker's /ping and /invocations, OpenAI's under /v1."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from nearstream.core.errors import Misshapen, NotReady
from nearstream.replica.adapters import AdapterRoutes, Adapters
from nearstream.replica.answer import prompt_text
from nearstream.replica.middleware import failures_told, json_body, key_checked, on_every_response
from nearstream.replica.operation import Operation
from nearstream.replica.reply import Desk, refused, reply
from nearstream.replica.tgi.info import info, templated, tokens
from nearstream.replica.tgi.openapi.document import pages as documents
from nearstream.wire.dialects import refusals
from nearstream.wire.dialects.completions import requests as openai
from nearstream.wire.dialects.parameters import GenerateBody, decode
from nearstream.wire.dialects.port import Draft
from nearstream.wire.dialects.terms import Terms
from nearstream.wire.dialects.tgi import generate as tgi
from nearstream.wire.dialects.tgi.plain_text import TextDraft, TextWording

Reader = Callable[[bytes], Draft]


def build_app(desk: Desk, operation: Operation, adapters: Adapters) -> web.Application:
    """The application around a desk; the model may come later."""
    settings = desk.settings
    terms, text = settings.terms, TextWording() if settings.plain_text_errors else None
    app = web.Application(
        client_max_size=terms.limits.payload_limit_bytes,
        middlewares=[key_checked(settings.api_key), failures_told(text or refusals)],
    )
    app.on_response_prepare.append(on_every_response(settings.cors_allow_origins))
    pages = Pages(desk)
    app.router.add_get("/metrics", operation.metrics)
    app.router.add_post("/abort/{request_id}", operation.abort)
    routes = AdapterRoutes(adapters)
    app.router.add_get("/adapters", routes.list)
    app.router.add_post("/adapters", routes.load)
    app.router.add_delete("/adapters/{name:.+}", routes.unload)
    app.router.add_get("/info", pages.info)
    app.router.add_get("/v1/models", pages.models)
    app.router.add_post("/tokenize", pages.tokenize)
    app.router.add_post("/chat_tokenize", pages.chat_tokenize)
    for path in ("/", "/health", "/ping"):
        app.router.add_get(path, pages.health)
    for path, page in documents(settings).items():
        app.router.add_get(path, page)
    for path, reader in readers(terms, messages_api=settings.messages_api).items():
        worded = reader if text is None else _in_text(reader, text)
        app.router.add_post(path, operation.counted(_generation(desk, worded)))
    return app


def readers(terms: Terms, *, messages_api: bool) -> dict[str, Reader]:
    """Which dialect reads the bodies of which route."""

    def generate(route: tgi.Route) -> Reader:
        return lambda body: tgi.read(body, terms, route=route)

    def chat(body: bytes) -> Draft:
        return openai.read_chat(body, terms)

    def completion(body: bytes) -> Draft:
        return openai.read_completion(body, terms)

    def by_body(body: bytes) -> Draft:
        keys = decode(body, dict[str, msgspec.Raw])
        for key, reader in (
            ("inputs", generate(tgi.Route.INVOCATIONS)),
            ("messages", chat),
            ("prompt", completion),
        ):
            if key in keys:
                return reader(body)
        raise Misshapen("missing field: one of `inputs`, `messages`, `prompt`")

    invocations = by_body if terms.release.invocations_by_body else generate(tgi.Route.INVOCATIONS)
    if terms.release.chat_by_switch and messages_api:
        invocations = chat
    return {
        "/": generate(tgi.Route.COMPAT),
        "/generate": generate(tgi.Route.GENERATE),
        "/generate_stream": generate(tgi.Route.STREAM),
        "/invocations": invocations,
        "/v1/chat/completions": chat,
        "/v1/completions": completion,
    }


class Pages:
    """The routes that generate nothing."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def health(self, request: web.Request) -> web.Response:
        if await self._desk.readiness.healthy():
            return web.Response()
        return refused(refusals.refusal(NotReady("unhealthy")))

    async def info(self, request: web.Request) -> web.Response:
        return web.Response(body=info(self._desk.settings), content_type="application/json")

    async def models(self, request: web.Request) -> web.Response:
        return web.Response(body=openai.models(self._desk.settings.model_id), content_type="application/json")

    async def tokenize(self, request: web.Request) -> web.Response:
        text = decode(await json_body(request), GenerateBody).inputs
        tokenizer = self._desk.readiness.model().tokenizer
        return web.Response(body=tokens(text, tokenizer), content_type="application/json")

    async def chat_tokenize(self, request: web.Request) -> web.Response:
        model, settings = self._desk.readiness.model(), self._desk.settings
        draft = openai.read_chat(await json_body(request), settings.terms)
        prompt = draft.exchange().requests[0].prompt
        text = prompt_text(prompt, model, self._desk.chances.now)
        body = templated(text, tokens(text, model.tokenizer, add_special_tokens=False))
        return web.Response(body=body, content_type="application/json")


def _in_text(reader: Reader, wording: TextWording) -> Reader:
    return lambda body: TextDraft(reader(body), wording)


def _generation(desk: Desk, reader: Reader) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await reply(request, reader(await json_body(request)), desk)

    return handle
