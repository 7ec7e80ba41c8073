"""A call whose adapter is named beside its body: in the query, or in SageMaker's header."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace

from nearstream.core.errors import Invalid, NearstreamError
from nearstream.core.generation import GenerationRequest
from nearstream.core.ports import Encoder, GenerationCall, Identity, Settled
from nearstream.wire.dialects.port import Draft, Refusal


@dataclass(frozen=True, slots=True)
class Adapted:
    """A draft whose requests use `adapter`, but for those that name another in the body."""

    draft: Draft
    adapter: str
    known: Container[str]

    def exchange(self) -> GenerationCall:
        if self.adapter not in self.known:
            raise Invalid(f"Adapter {self.adapter} is not registered")
        return AdaptedExchange(self.draft.exchange(), self.adapter)

    def refusal(self, error: NearstreamError) -> Refusal:
        return self.draft.refusal(error)


@dataclass(frozen=True, slots=True)
class AdaptedExchange:
    """The exchange of another draft, with the adapter in its requests."""

    exchange: GenerationCall
    adapter: str

    @property
    def requests(self) -> tuple[GenerationRequest, ...]:
        return tuple(
            replace(
                request, sampling=replace(request.sampling, adapter=request.sampling.adapter or self.adapter)
            )
            for request in self.exchange.requests
        )

    @property
    def stream(self) -> bool:
        return self.exchange.stream

    @property
    def content_type(self) -> str:
        return self.exchange.content_type

    @property
    def keepalive(self) -> bytes:
        return self.exchange.keepalive

    def settle(self, request: GenerationRequest, *, prompt_tokens: int) -> Settled:
        return self.exchange.settle(request, prompt_tokens=prompt_tokens)

    def encoder(self, identity: Identity) -> Encoder:
        return self.exchange.encoder(identity)
