"""A call whose adapter is named outside its body: in the query, or in SageMaker's header."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace

from nearstream.core.errors import Invalid, NearstreamError
from nearstream.core.generation import GenerationRequest
from nearstream.core.ports import Encoder, GenerationCall, Identity, Settled
from nearstream.wire.dialects.port import ErrorResponse, ParsedBody


@dataclass(frozen=True, slots=True)
class BodyWithAdapter:
    """A parsed body whose requests use `adapter`, except those that name another in the body."""

    body: ParsedBody
    adapter: str
    known: Container[str]

    def call(self) -> GenerationCall:
        if self.adapter not in self.known:
            raise Invalid(f"Adapter {self.adapter} is not registered")
        return CallWithAdapter(self.body.call(), self.adapter)

    def error(self, error: NearstreamError) -> ErrorResponse:
        return self.body.error(error)


@dataclass(frozen=True, slots=True)
class CallWithAdapter:
    """The call of another body, with the adapter in its requests."""

    call: GenerationCall
    adapter: str

    @property
    def requests(self) -> tuple[GenerationRequest, ...]:
        return tuple(
            replace(
                request, sampling=replace(request.sampling, adapter=request.sampling.adapter or self.adapter)
            )
            for request in self.call.requests
        )

    @property
    def stream(self) -> bool:
        return self.call.stream

    @property
    def content_type(self) -> str:
        return self.call.content_type

    @property
    def keepalive(self) -> bytes:
        return self.call.keepalive

    def settle(self, request: GenerationRequest, *, prompt_tokens: int) -> Settled:
        return self.call.settle(request, prompt_tokens=prompt_tokens)

    def encoder(self, identity: Identity) -> Encoder:
        return self.call.encoder(identity)
