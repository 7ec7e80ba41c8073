"""OpenAI's chat and text completions, and its list of models, as the OpenAI API reference describes them.

Stop strings are cut from the text, an answer ends as `stop`, `length` or `tool_calls`, errors are OpenAI's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from nearstream.core.errors import Misshapen, NearstreamError
from nearstream.wire.dialects.completions.bodies import ChatBody, CompletionBody
from nearstream.wire.dialects.completions.fields import check_fields
from nearstream.wire.dialects.completions.requests import (
    CompletionCall,
    chat_call,
    option_names,
    text_call,
)
from nearstream.wire.dialects.completions.style import Style
from nearstream.wire.dialects.json_bodies import decode
from nearstream.wire.dialects.openai.errors import OpenAIErrors
from nearstream.wire.dialects.openai.rules import OpenAIRules, OpenAITerms
from nearstream.wire.dialects.port import ErrorResponse, renamed

STYLE = Style(errors=OpenAIErrors())


@dataclass(frozen=True, slots=True)
class ParsedCompletion:
    """A completion body before its rules are checked. `names`: engines' options as this body calls them."""

    names: Mapping[str, str]
    checked: Callable[[], CompletionCall]

    def call(self) -> CompletionCall:
        return self.checked()

    def error(self, error: NearstreamError) -> ErrorResponse:
        """With a status, also where a stream was asked for: nothing of it was sent yet."""
        return OpenAIErrors().error(renamed(error, self.names))


def read_chat(body: bytes, terms: OpenAITerms) -> ParsedCompletion:
    """Raises Malformed or Misshapen."""
    chat, keys = decode(body, ChatBody), decode(body, dict[str, msgspec.Raw])

    def checked() -> CompletionCall:
        check_fields(keys, ChatBody.__struct_fields__, strict=True)
        return chat_call(chat, OpenAIRules(terms), STYLE)

    return ParsedCompletion(option_names(chat), checked)


def read_completion(body: bytes, terms: OpenAITerms) -> ParsedCompletion:
    """Raises Malformed or Misshapen."""
    text, keys = decode(body, CompletionBody), decode(body, dict[str, msgspec.Raw])

    def checked() -> CompletionCall:
        check_fields(keys, CompletionBody.__struct_fields__, strict=True)
        return text_call(text, OpenAIRules(terms), STYLE)

    return ParsedCompletion(option_names(text), checked)


def read_either(body: bytes, terms: OpenAITerms) -> ParsedCompletion:
    """A chat or a text completion, by the keys of the body. Raises Malformed or Misshapen."""
    keys = decode(body, dict[str, msgspec.Raw])
    if "messages" in keys:
        return read_chat(body, terms)
    if "prompt" in keys:
        return read_completion(body, terms)
    raise Misshapen("missing field: one of `messages`, `prompt`")


def model_list(names: Sequence[str], created: int) -> bytes:
    """The answer of /v1/models. `created`: seconds since the epoch."""
    return msgspec.json.encode({"object": "list", "data": [_model(name, created) for name in names]})


def model(name: str, created: int) -> bytes:
    """The answer of /v1/models/{name}."""
    return msgspec.json.encode(_model(name, created))


def _model(name: str, created: int) -> dict[str, str | int]:
    return {"id": name, "object": "model", "created": created, "owned_by": "nearstream"}
