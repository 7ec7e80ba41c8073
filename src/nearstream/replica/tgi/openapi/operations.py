"""The server's operations: the body, the answer and the errors of each. `app.build_app` serves them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPMethod
from typing import Any

from nearstream.wire.dialects import adapter_bodies as adapters
from nearstream.wire.dialects.completions import shapes as openai
from nearstream.wire.dialects.completions.bodies import ChatBody, CompletionBody
from nearstream.wire.dialects.hf.parameters import GenerateBody
from nearstream.wire.dialects.hf.terms import Terms
from nearstream.wire.dialects.tgi import shapes

JSON, HTML, TEXT = "application/json", "text/html", "text/plain"
GET, POST, DELETE = HTTPMethod.GET, HTTPMethod.POST, HTTPMethod.DELETE
TGI, OPENAI, SAGEMAKER, OPERATION = "Text Generation Inference", "OpenAI", "Amazon SageMaker", "Operation"
_EVENTS = shapes.StreamResponse, shapes.ErrorBody
_CHAT_CHUNKS = openai.ChatCompletionChunk, openai.StreamError
_CHUNKS = openai.Chunk, openai.StreamError
_ANSWERS = list[shapes.GenerateResponse]


@dataclass(frozen=True, slots=True, kw_only=True)
class Takes:
    """Types of the body, of the whole answer and of a stream's events; none: there is no such thing."""

    body: tuple[type, ...] = ()
    answer: tuple[Any, ...] = ()
    events: tuple[type, ...] = ()
    media: str = JSON

    @property
    def done(self) -> bool:
        """Whether a stream ends with `[DONE]`."""
        return openai.StreamError in self.events


@dataclass(frozen=True, slots=True)
class Route:
    """One operation."""

    method: HTTPMethod
    path: str
    summary: str
    tag: str
    takes: Takes
    errors: tuple[int, ...] = ()

    @property
    def generates(self) -> bool:
        return self.errors == GENERATING


READING = (400, 413, 415, 422, 503)
GENERATING = (*READING, 424, 429, 500)


def operations(terms: Terms, *, messages_api: bool) -> Iterator[Route]:
    """Every operation of a server on these terms."""
    yield from _tgi_operations()
    yield from _openai_operations()
    at_sagemaker = _at_sagemaker(terms, messages_api=messages_api)
    yield Route(
        POST, "/invocations", "Generate, by the keys of the body", SAGEMAKER, at_sagemaker, GENERATING
    )
    for path, tag in (("/", OPERATION), ("/health", OPERATION), ("/ping", SAGEMAKER)):
        yield Route(GET, path, "Whether a call would be answered", tag, Takes(), (503,))
    aborted = Takes(answer=(shapes.Aborted,))
    yield Route(POST, "/abort/{request_id}", "End a call that is under way", OPERATION, aborted, (404,))
    yield from _adapter_operations()
    yield Route(GET, "/metrics", "For Prometheus", OPERATION, Takes(answer=(str,), media=TEXT))
    yield Route(GET, "/docs", "This document to read", OPERATION, Takes(answer=(str,), media=HTML))
    yield Route(GET, "/api-doc/openapi.json", "This document", OPERATION, Takes(answer=(dict[str, Any],)))


def _tgi_operations() -> Iterator[Route]:
    body = (GenerateBody,)
    either = Takes(body=body, answer=(_ANSWERS,), events=_EVENTS)
    whole = Takes(body=body, answer=(shapes.GenerateResponse,))
    streamed = Takes(body=body, events=_EVENTS)
    tokens = Takes(body=body, answer=(list[shapes.TokenizedToken],))
    templated = Takes(body=(ChatBody,), answer=(shapes.ChatTokenizeResponse,))
    yield Route(POST, "/generate", "Generate", TGI, whole, GENERATING)
    yield Route(POST, "/generate_stream", "Generate, streamed", TGI, streamed, GENERATING)
    yield Route(POST, "/", "Generate, streamed where `stream` is true", TGI, either, GENERATING)
    yield Route(POST, "/tokenize", "A text's tokens", TGI, tokens, READING)
    yield Route(POST, "/chat_tokenize", "A conversation's tokens", TGI, templated, READING)
    yield Route(GET, "/info", "The model and the limits", TGI, Takes(answer=(shapes.Info,)))


def _adapter_operations() -> Iterator[Route]:
    every = Takes(answer=(adapters.AdapterList,))
    loaded = Takes(body=(adapters.AdapterBody,), answer=(adapters.Adapter,))
    unloaded = Takes(answer=(adapters.Adapter,))
    yield Route(GET, "/adapters", "The LoRA adapters that can be asked for", OPERATION, every)
    yield Route(POST, "/adapters", "Load a LoRA adapter", OPERATION, loaded, (*READING, 409, 424))
    yield Route(DELETE, "/adapters/{name}", "Unload a LoRA adapter", OPERATION, unloaded, (404, 503))


def _openai_operations() -> Iterator[Route]:
    chat = Takes(body=(ChatBody,), answer=(openai.ChatCompletion,), events=_CHAT_CHUNKS)
    text = Takes(body=(CompletionBody,), answer=(openai.CompletionResponse,), events=_CHUNKS)
    yield Route(POST, "/v1/chat/completions", "Continue a conversation", OPENAI, chat, GENERATING)
    yield Route(POST, "/v1/completions", "Continue texts", OPENAI, text, GENERATING)
    yield Route(GET, "/v1/models", "The model", OPENAI, Takes(answer=(openai.ModelsInfo,)))


def _at_sagemaker(terms: Terms, *, messages_api: bool) -> Takes:
    """It depends on the release, as in `app.readers`."""
    if terms.release.chat_by_switch and messages_api:
        return Takes(body=(ChatBody,), answer=(openai.ChatCompletion,), events=_CHAT_CHUNKS)
    if not terms.release.invocations_by_body:
        return Takes(body=(GenerateBody,), answer=(_ANSWERS,), events=_EVENTS)
    return Takes(
        body=(GenerateBody, ChatBody, CompletionBody),
        answer=(_ANSWERS, openai.ChatCompletion, openai.CompletionResponse),
        events=(*_EVENTS, *_CHAT_CHUNKS, openai.Chunk),
    )
