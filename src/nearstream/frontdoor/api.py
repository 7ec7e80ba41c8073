"""Dispatches AWS calls by a table: credential scope → service → operation → handler."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import structlog
from aiohttp import web

from nearstream.core.errors import NearstreamError
from nearstream.frontdoor.access import Access
from nearstream.services.service import Service
from nearstream.wire.aws import catalogue, protocols, service, signed_request
from nearstream.wire.aws.catalogue import Catalogue
from nearstream.wire.aws.errors import AwsError, ErrorContext, translate
from nearstream.wire.aws.response import AwsResponse
from nearstream.wire.aws.service import ServiceDescription, UnknownOperation
from nearstream.wire.aws.signed_request import RawRequest

log = structlog.get_logger()


Relay = Callable[[web.BaseRequest, RawRequest, str], Awaitable[web.StreamResponse]]
"""Answers a call of an operation whose body goes to a replica; the text is the request's id."""


@dataclass(frozen=True, slots=True)
class ServedService:
    """A row of the table: what a service does, botocore's description of it, and who relays its calls."""

    service: Service
    description: ServiceDescription
    relay: Relay | None = None

    def failure(self, error: NearstreamError, call: RawRequest, request_id: str) -> web.Response:
        """`error` in the words and the protocol of the service."""
        metadata = self.description.model.metadata
        context = ErrorContext(
            request_id, metadata.get("jsonVersion", "1.1"), metadata.get("xmlNamespace", "")
        )
        translated = translate(error, self.service.errors, self.description.statuses)
        return response(
            protocols.failure(protocols.spoken(call, self.description.protocols), translated, context)
        )


def served(each: Service, relay: Relay | None = None) -> ServedService:
    """A row, with the service's model from botocore's data; call it off the loop."""
    operations = each.operations.keys() | each.relayed
    return ServedService(each, service.load(each.name, operations, each.refused), relay)


class Api:
    """Every service that the site answers for itself, by the name in a call's credential scope."""

    def __init__(self, services: Iterable[ServedService], access: Access) -> None:
        self._by_signing_name: dict[str, list[ServedService]] = {}
        self._access = access
        self._catalogue: Catalogue | None = None
        for each in services:
            self._by_signing_name.setdefault(each.description.signing_name, []).append(each)

    async def handle(self, request: web.BaseRequest, call: RawRequest, request_id: str) -> web.StreamResponse:
        """Answer one call in the protocol that it is in, its failure too."""
        found = self._find(call)
        if found is None:
            return await self._refuse(call, request_id)
        try:
            if found.relay is not None:
                found.description.match(call.method, call.path)
                return await found.relay(request, call, request_id)
            return await self._operate(found, request, call, request_id)
        except UnknownOperation as error:
            log.warning("operation not served", service=found.service.name, operation=error.operation)
            return found.failure(error, call, request_id)
        except NearstreamError as error:
            return found.failure(error, call, request_id)

    def _find(self, call: RawRequest) -> ServedService | None:
        """The served service that the call is for."""
        rows = self._by_signing_name.get(signed_request.signing_name(call), [])
        return next((each for each in rows if each.description.takes(call)), None)

    async def _operate(
        self, found: ServedService, request: web.BaseRequest, call: RawRequest, request_id: str
    ) -> web.Response:
        description = found.description
        codec = protocols.CODECS[protocols.spoken(call, description.protocols)]
        async with self._access.proven_body(request, call) as body:
            parsed = codec.parse(description, call.with_body(body))
            operation = found.service.operations[parsed.operation]
            output = await operation(parsed.document, self._access.caller(call))
        return response(codec.answer(description, parsed.operation, dict(output), request_id=request_id))

    async def _refuse(self, call: RawRequest, request_id: str) -> web.Response:
        """Answer, in its own protocol, a call that no service here takes; its signature is not checked."""
        if self._catalogue is None:
            self._catalogue = await asyncio.to_thread(catalogue.load)
        signing_name = signed_request.signing_name(call)
        known = await asyncio.to_thread(self._catalogue.find, signing_name, call)
        if known is None:
            return failure(call, self._unknown(signing_name, call), request_id)
        log.warning("service not served", service=known.name, method=call.method, path=call.path[:200])
        context = ErrorContext(request_id, known.json_version, known.namespace)
        protocol = protocols.spoken(call, known.protocols)
        return response(protocols.failure(protocol, self._not_served(known.name), context))

    def _unknown(self, signing_name: str, call: RawRequest) -> AwsError:
        if not signing_name:
            return AwsError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
        rows = self._by_signing_name.get(signing_name)
        if rows is None:
            return self._not_served(signing_name[:100])
        where = call.header("x-amz-target")[:200] or f"{call.method} {call.path[:200]}"
        log.warning("operation not served", service=signing_name, operation=where)
        names = " and ".join(each.service.name for each in rows)
        return UnknownOperation(where, f"'{where}' is no operation of {names}.", 404)

    def _not_served(self, name: str) -> AwsError:
        names = sorted(each.service.name for rows in self._by_signing_name.values() for each in rows)
        message = f"{name} is not served by nearstream, which serves {', '.join([*names, 's3'])}."
        return AwsError("UnknownOperationException", message)


def failure(call: RawRequest, error: AwsError, request_id: str) -> web.Response:
    """An error of no service, in the protocol that the call is most likely in."""
    return response(protocols.failure(protocols.spoken(call), error, ErrorContext(request_id)))


def response(answer: AwsResponse) -> web.Response:
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
