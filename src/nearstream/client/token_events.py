"""What one event of a streamed answer says, in the words of TGI, of LMI or of OpenAI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from nearstream.core.errors import StreamFailed


@dataclass(frozen=True, slots=True)
class Usage:
    """How many tokens an answer took; None where that is not known.

    `generated_tokens` is the service's own count; where it gives none, the events with a token that came.
    """

    prompt_tokens: int | None = None
    generated_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """One event. `text` is what it adds to the answer; the rest is None until the event that has it."""

    text: str = ""
    is_token: bool = False
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    generated_tokens: int | None = None
    failure: StreamFailed | None = None


NOTHING = TokenEvent()


def read(document: bytes) -> TokenEvent:
    """The event in one JSON document; what says nothing of an answer is `NOTHING`.

    Of several answers in one stream the first counts. A document that is not JSON is a failure.
    """
    try:
        event = msgspec.json.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        start = document[:60].decode(errors="replace")
        return TokenEvent(failure=StreamFailed("InvalidStream", f"an event is not whole JSON: {start!r}"))
    if isinstance(event, list) and event:
        event = event[0]
    if not isinstance(event, dict):
        return NOTHING
    return _failed(event) or _token(event) or _chunk(event) or _outputs(event) or _whole(event)


def _failed(event: dict[str, Any]) -> TokenEvent | None:
    match event:
        case {"error": {"message": str(message)} as error}:
            return _failure(error.get("code") or error.get("type"), message, error.get("http_status_code"))
        case {"error": str(message)}:
            return _failure(event.get("error_type") or event.get("code"), message, None)
        case {"object": "error", "message": str(message)}:
            return _failure(event.get("type") or event.get("code"), message, None)
        case {"token": {"error_msg": str(message)}}:
            return _failure("error", message, None)
    return None


def _failure(code: object, message: str, status: object) -> TokenEvent:
    known = status if isinstance(status, int) else code if isinstance(code, int) else None
    return TokenEvent(failure=StreamFailed(str(code or "error"), message, status=known))


def _token(event: dict[str, Any]) -> TokenEvent | None:
    """TGI's events, and LMI's lines since 0.26."""
    match event:
        case {"token": {"text": str(text)} as token}:
            special = token.get("special") or token.get("special_token")
            return _detailed(event, "" if special else text, is_token=True)
    return None


def _chunk(event: dict[str, Any]) -> TokenEvent | None:
    """OpenAI's chunks of a chat or a completion, and its whole answers."""
    if not isinstance(event.get("choices"), list):
        return None
    text, reason, is_token = "", None, False
    match [choice for choice in event["choices"] if isinstance(choice, dict) and not choice.get("index")]:
        case [first, *_]:
            text = _said(first)
            reason = _text_or_none(first.get("finish_reason"))
            is_token = bool(text) or reason is not None
    usage = event.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    return TokenEvent(
        text,
        is_token,
        reason,
        _count(counts.get("prompt_tokens")),
        _count(counts.get("completion_tokens")),
    )


def _said(choice: dict[str, Any]) -> str:
    match choice:
        case {"delta": {"content": str(text)}} | {"message": {"content": str(text)}} | {"text": str(text)}:
            return text
    return ""


def _outputs(event: dict[str, Any]) -> TokenEvent | None:
    """LMI's lines up to 0.25."""
    match event:
        case {"outputs": [str(text), *_]}:
            return TokenEvent(text, is_token=True)
    return None


def _whole(event: dict[str, Any]) -> TokenEvent:
    """An answer that was not streamed."""
    match event:
        case {"generated_text": str(text)}:
            return _detailed(event, text, is_token=bool(text))
    return NOTHING


def _detailed(event: dict[str, Any], text: str, *, is_token: bool) -> TokenEvent:
    details = event.get("details")
    if not isinstance(details, dict):
        return TokenEvent(text, is_token)
    return TokenEvent(
        text,
        is_token,
        _text_or_none(details.get("finish_reason")),
        _count(details.get("input_length")),
        _count(details.get("generated_tokens")),
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None
