"""The model server's routes: TGI's own, SageMaker's /ping and /invocations, OpenAI's under /v1."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from aiohttp import web

from nearstream.core.errors import Misshapen, NotReady
from nearstream.replica.adapters import Adapters
from nearstream.replica.calls import Call
from nearstream.replica.host import refuse_as
from nearstream.replica.middleware import (
    errors_answered,
    json_body,
    key_checked,
    on_every_response,
    pages_checked,
)
from nearstream.replica.operation import CallHandler, Operation
from nearstream.replica.prompts import prompt_text
from nearstream.replica.responses import ServerContext, error_response, respond
from nearstream.replica.tgi.adapter_routes import AdapterRoutes
from nearstream.replica.tgi.info import info, templated, tokens
from nearstream.replica.tgi.openapi.document import pages as documents
from nearstream.wire.dialects.hf import completions as openai
from nearstream.wire.dialects.hf.errors import TgiErrors
from nearstream.wire.dialects.hf.parameters import GenerateBody
from nearstream.wire.dialects.hf.terms import Terms
from nearstream.wire.dialects.json_bodies import decode
from nearstream.wire.dialects.port import ParsedBody
from nearstream.wire.dialects.tgi import generate as tgi
from nearstream.wire.dialects.tgi.plain_text import PlainTextBody, PlainTextErrors

Reader = Callable[[bytes], ParsedBody]


def build_app(context: ServerContext, operation: Operation, adapters: Adapters) -> web.Application:
    """The application of one server; its model may load later."""
    settings = context.settings
    terms, text = settings.terms, PlainTextErrors() if settings.plain_text_errors else None
    management = settings.management
    app = web.Application(
        client_max_size=terms.limits.payload_limit_bytes,
        middlewares=[
            pages_checked(settings.pages, TgiErrors()),
            key_checked(settings.api_key, others=management.keys),
            errors_answered(text or TgiErrors()),
        ],
    )
    refuse_as(app, text or TgiErrors())
    app.on_response_prepare.append(on_every_response(settings.pages))
    pages = Pages(context)
    app.router.add_get("/metrics", operation.metrics)
    app.router.add_post("/abort/{request_id}", management.changing(operation.abort))
    routes = AdapterRoutes(adapters)
    app.router.add_get("/adapters", routes.list)
    app.router.add_post("/adapters", management.changing(routes.load))
    app.router.add_delete("/adapters/{name:.+}", management.changing(routes.unload))
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
        app.router.add_post(path, operation.counted(_generation(context, worded)))
    return app


def readers(terms: Terms, *, messages_api: bool) -> dict[str, Reader]:
    """Which dialect reads the bodies of which route."""

    def generate(route: tgi.Route) -> Reader:
        return lambda body: tgi.read(body, terms, route=route)

    def chat(body: bytes) -> ParsedBody:
        return openai.read_chat(body, terms)

    def completion(body: bytes) -> ParsedBody:
        return openai.read_completion(body, terms)

    def by_body(body: bytes) -> ParsedBody:
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

    def __init__(self, context: ServerContext) -> None:
        self._context = context

    async def health(self, request: web.Request) -> web.Response:
        if await self._context.readiness.healthy():
            return web.Response()
        return error_response(TgiErrors().error(NotReady("unhealthy")))

    async def info(self, request: web.Request) -> web.Response:
        return web.Response(body=info(self._context.settings), content_type="application/json")

    async def models(self, request: web.Request) -> web.Response:
        return web.Response(
            body=openai.models(self._context.settings.model_id), content_type="application/json"
        )

    async def tokenize(self, request: web.Request) -> web.Response:
        text = decode(await json_body(request), GenerateBody).inputs
        model = self._context.readiness.model()
        body = await model.encoder.run(text, lambda: tokens(text, model.tokenizer))
        return web.Response(body=body, content_type="application/json")

    async def chat_tokenize(self, request: web.Request) -> web.Response:
        model, settings = self._context.readiness.model(), self._context.settings
        parsed = openai.read_chat(await json_body(request), settings.terms)
        prompt = parsed.call().requests[0].prompt
        text = await prompt_text(prompt, model, self._context.entropy.now)
        found = await model.encoder.run(text, lambda: tokens(text, model.tokenizer, add_special_tokens=False))
        return web.Response(body=templated(text, found), content_type="application/json")


def _in_text(reader: Reader, errors: PlainTextErrors) -> Reader:
    return lambda body: PlainTextBody(reader(body), errors)


def _generation(context: ServerContext, reader: Reader) -> CallHandler:
    async def handle(request: web.Request, call: Call) -> web.StreamResponse:
        return await respond(request, reader(await json_body(request)), context, call)

    return handle
