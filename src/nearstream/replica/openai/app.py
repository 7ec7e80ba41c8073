"""The routes of a server of OpenAI's API, with SageMaker's /ping and /invocations."""

from __future__ import annotations

from collections.abc import Callable

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
from nearstream.replica.operation import CallHandler, Operation
from nearstream.replica.responses import ServerContext, error_response, respond
from nearstream.wire.dialects.openai.completions import (
    model,
    model_list,
    read_chat,
    read_completion,
    read_either,
)
from nearstream.wire.dialects.openai.errors import OpenAIErrors
from nearstream.wire.dialects.openai.rules import OpenAITerms
from nearstream.wire.dialects.port import ParsedBody

Reader = Callable[[bytes, OpenAITerms], ParsedBody]
_READERS: dict[str, Reader] = {
    "/v1/chat/completions": read_chat,
    "/v1/completions": read_completion,
    "/invocations": read_either,
}


def build_app(context: ServerContext, operation: Operation, adapters: Adapters) -> web.Application:
    """The application of one server; its model may load later."""
    settings, errors = context.settings, OpenAIErrors()
    terms = OpenAITerms(settings.model_id, settings.terms.limits, adapters)
    app = web.Application(
        client_max_size=settings.terms.limits.payload_limit_bytes,
        middlewares=[
            pages_checked(settings.pages, errors),
            key_checked(settings.api_key, errors, others=settings.management.keys),
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
    for path, reader in _READERS.items():
        app.router.add_post(path, operation.counted(_generation(context, reader, terms)))
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


def _generation(context: ServerContext, reader: Reader, terms: OpenAITerms) -> CallHandler:
    async def handle(request: web.Request, call: Call) -> web.StreamResponse:
        return await respond(request, reader(await json_body(request), terms), context, call)

    return handle
