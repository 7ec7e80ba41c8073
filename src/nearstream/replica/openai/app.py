"""The routes of a server of OpenAI's API, with SageMaker's /ping and /invocations."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from aiohttp import web

from nearstream.core.errors import NotReady
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
from nearstream.replica.openai.stored import StoredResponses
from nearstream.replica.operation import CallHandler, Operation
from nearstream.replica.responses import ServerContext, error_response, respond
from nearstream.wire.dialects.json_bodies import decode
from nearstream.wire.dialects.openai.completions import (
    model,
    model_list,
    read_chat,
    read_completion,
    read_either,
)
from nearstream.wire.dialects.openai.errors import OpenAIErrors
from nearstream.wire.dialects.openai.responses.calls import read_response
from nearstream.wire.dialects.openai.responses.store import ResponseStore
from nearstream.wire.dialects.openai.rules import OpenAITerms
from nearstream.wire.dialects.port import ParsedBody

Reader = Callable[[bytes], ParsedBody]


def readers(terms: OpenAITerms, store: ResponseStore) -> dict[str, Reader]:
    """Which dialect reads the bodies of which route."""

    def response(body: bytes) -> ParsedBody:
        return read_response(body, terms, store)

    def by_body(body: bytes) -> ParsedBody:
        keys = decode(body, dict[str, msgspec.Raw])
        if "input" in keys and not keys.keys() & {"messages", "prompt"}:
            return response(body)
        return read_either(body, terms)

    return {
        "/v1/chat/completions": lambda body: read_chat(body, terms),
        "/v1/completions": lambda body: read_completion(body, terms),
        "/v1/responses": response,
        "/invocations": by_body,
    }


def build_app(context: ServerContext, operation: Operation, adapters: Adapters) -> web.Application:
    """The application of one server; its model may load later."""
    settings, errors = context.settings, OpenAIErrors()
    terms = OpenAITerms(settings.model_id, settings.terms.limits, adapters)
    app = web.Application(
        client_max_size=settings.terms.limits.payload_limit_bytes,
        middlewares=[
            pages_checked(settings.pages, errors),
            key_checked(
                settings.api_key, errors, others=settings.management.keys, private=("/v1/responses/",)
            ),
            errors_answered(errors),
        ],
    )
    refuse_as(app, errors)
    app.on_response_prepare.append(on_every_response(settings.pages))
    pages = Pages(context, terms, adapters)
    app.router.add_get("/metrics", operation.metrics)
    app.router.add_post("/abort/{request_id}", settings.management.changing(operation.abort))
    app.router.add_get("/v1/models", pages.models)
    app.router.add_get("/v1/models/{model:.+}", pages.model)
    for path in ("/health", "/ping"):
        app.router.add_get(path, pages.health)
    store = ResponseStore()
    stored = StoredResponses(store)
    app.router.add_get("/v1/responses/{id}", stored.get)
    app.router.add_get("/v1/responses/{id}/input_items", stored.input_items)
    app.router.add_delete("/v1/responses/{id}", stored.delete)
    for path, reader in readers(terms, store).items():
        app.router.add_post(path, operation.counted(_generation(context, reader)))
    return app


class Pages:
    """The routes that generate nothing."""

    def __init__(self, context: ServerContext, terms: OpenAITerms, adapters: Adapters) -> None:
        self._context = context
        self._terms = terms
        self._adapters = adapters
        self._created = int(context.entropy.now().timestamp())

    async def health(self, request: web.Request) -> web.Response:
        if await self._context.readiness.healthy():
            return web.Response()
        return error_response(OpenAIErrors().error(NotReady("the model is not ready")))

    async def models(self, request: web.Request) -> web.Response:
        names = [self._terms.model, *(adapter.name for adapter in self._adapters.all)]
        return web.Response(body=model_list(names, self._created), content_type="application/json")

    async def model(self, request: web.Request) -> web.Response:
        name = request.match_info["model"]
        self._terms.require(name)
        return web.Response(body=model(name, self._created), content_type="application/json")


def _generation(context: ServerContext, reader: Reader) -> CallHandler:
    async def handle(request: web.Request, call: Call) -> web.StreamResponse:
        return await respond(request, reader(await json_body(request)), context, call)

    return handle
