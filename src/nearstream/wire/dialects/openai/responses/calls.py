"""Bodies of /v1/responses to calls, with the conversations that they go on from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from nearstream.core.errors import (
    Misshapen,
    Missing,
    NearstreamError,
    OptionInvalid,
    TooManyTokens,
    Unsupported,
)
from nearstream.core.generation import GenerationRequest
from nearstream.core.ports import Encoder, Identity, Settled
from nearstream.wire.dialects.completions.bodies import ChatTurn
from nearstream.wire.dialects.completions.fields import check_fields
from nearstream.wire.dialects.completions.requests import CompletionCall, chat_call
from nearstream.wire.dialects.completions.style import Style
from nearstream.wire.dialects.json_bodies import decode
from nearstream.wire.dialects.openai.errors import OpenAIErrors
from nearstream.wire.dialects.openai.responses.bodies import (
    HINTS,
    REFUSED,
    ResponseBody,
    chat_of,
    check,
    turns,
)
from nearstream.wire.dialects.openai.responses.document import Document, ResponseForm
from nearstream.wire.dialects.openai.responses.events import EventEncoder, WholeResponse
from nearstream.wire.dialects.openai.responses.store import ResponseStore, StoredResponse, items
from nearstream.wire.dialects.openai.rules import OpenAIRules, OpenAITerms
from nearstream.wire.dialects.port import ErrorResponse, renamed
from nearstream.wire.framing import sse

# What chats call otherwise.
_NAMES = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "response_format": "text.format",
    "logprobs": "include",
}


def read_response(body: bytes, terms: OpenAITerms, store: ResponseStore) -> ParsedResponse:
    """Raises Malformed or Misshapen."""
    return ParsedResponse(decode(body, ResponseBody), decode(body, dict[str, msgspec.Raw]), terms, store)


@dataclass(frozen=True, slots=True)
class ParsedResponse:
    """A body of /v1/responses before its rules are checked."""

    body: ResponseBody
    keys: dict[str, msgspec.Raw]
    terms: OpenAITerms
    store: ResponseStore

    def call(self) -> ResponseCall:
        fields = (*ResponseBody.__struct_fields__, *HINTS)
        check_fields(self.keys, fields, strict=True, refused=REFUSED)
        check(self.body)
        earlier = self._earlier()
        chat = chat_of(self.body, earlier)
        completion = chat_call(chat, OpenAIRules(self.terms), Style(errors=OpenAIErrors()))
        return ResponseCall(completion, self.body, (*earlier, *turns(self.body.input)), self.store)

    def error(self, error: NearstreamError) -> ErrorResponse:
        return OpenAIErrors().error(_renamed(error))

    def _earlier(self) -> tuple[ChatTurn, ...]:
        previous = self.body.previous_response_id
        if previous is None:
            return ()
        try:
            return self.store.find(previous).turns
        except Missing as missing:
            raise OptionInvalid("previous_response_id", f"`previous_response_id`: {missing}") from None


@dataclass(frozen=True, slots=True)
class ResponseCall:
    """One call of /v1/responses that keeps the rules."""

    completion: CompletionCall
    body: ResponseBody
    turns: tuple[ChatTurn, ...]
    store: ResponseStore

    @property
    def requests(self) -> tuple[GenerationRequest, ...]:
        return self.completion.requests

    @property
    def stream(self) -> bool:
        return bool(self.body.stream)

    @property
    def content_type(self) -> str:
        return sse.CONTENT_TYPE if self.stream else "application/json"

    @property
    def keepalive(self) -> bytes:
        return b""

    def settle(self, request: GenerationRequest, *, prompt_tokens: int) -> Settled:
        return self.completion.settle(request, prompt_tokens=prompt_tokens)

    def encoder(self, identity: Identity) -> Encoder:
        form = ResponseForm(self.body, identity, logprobs=self.completion.form.logprobs)
        encoder = EventEncoder if self.stream else WholeResponse
        return encoder(form, self.completion.form, self._keep)

    def _keep(self, document: Document) -> None:
        if self.body.store is False:
            return
        said: list[dict[str, Any]] = document["output"]
        conversation = (*self.turns, *turns(said))
        stored = StoredResponse(
            msgspec.json.encode(document), items(self.body.input, document["id"]), conversation
        )
        self.store.keep(document["id"], stored)


def _renamed(error: NearstreamError) -> NearstreamError:
    """With the options as this body calls them."""
    if isinstance(error, Unsupported):
        return renamed(error, {"grammar": "text.format", "top_n_tokens": "top_logprobs"})
    if isinstance(error, Misshapen) and "$.messages" in str(error):
        return OptionInvalid("input", str(error).partition(" - at ")[0])
    if not isinstance(error, OptionInvalid) or error.option not in _NAMES:
        return error
    name, message = _NAMES[error.option], str(error)
    for before, after in _NAMES.items():
        message = message.replace(f"`{before}`", f"`{after}`")
    return type(error)(name, message) if isinstance(error, TooManyTokens) else OptionInvalid(name, message)
