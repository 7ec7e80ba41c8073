"""The routes on responses that are kept: GET and DELETE of /v1/responses/{id}, and the input of one."""

from __future__ import annotations

import msgspec
from aiohttp import web

from nearstream.core.errors import Missing, Unsupported
from nearstream.replica.responses import error_response
from nearstream.wire.dialects.openai.errors import OpenAIErrors
from nearstream.wire.dialects.openai.responses.store import ResponseStore, StoredResponse


class StoredResponses:
    """Answers 404 for a response that is not kept."""

    def __init__(self, store: ResponseStore) -> None:
        self._store = store

    async def get(self, request: web.Request) -> web.Response:
        if request.query.get("stream", "false") != "false":
            raise Unsupported("stream", "nearstream", "a response that is kept comes whole")
        found = self._find(request)
        return found if isinstance(found, web.Response) else _json(found.body)

    async def delete(self, request: web.Request) -> web.Response:
        found, response_id = self._find(request), request.match_info["id"]
        if isinstance(found, web.Response):
            return found
        self._store.delete(response_id)
        return _json(msgspec.json.encode({"id": response_id, "object": "response", "deleted": True}))

    async def input_items(self, request: web.Request) -> web.Response:
        found = self._find(request)
        if isinstance(found, web.Response):
            return found
        items = found.input
        if request.query.get("order", "desc") == "desc":
            items = items[::-1]
        ends = {"first_id": items[0]["id"], "last_id": items[-1]["id"]} if items else {}
        listed = {"object": "list", "data": items, "has_more": False} | ends
        return _json(msgspec.json.encode(listed))

    def _find(self, request: web.Request) -> StoredResponse | web.Response:
        try:
            return self._store.find(request.match_info["id"])
        except Missing as missing:
            return error_response(OpenAIErrors().missing(str(missing)))


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")
