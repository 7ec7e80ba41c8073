"""The text of a streamed answer, whichever of the served shapes it comes in.

Knows TGI's token events, LMI's JSON lines and OpenAI's chat chunks, in SSE or as plain lines; bytes may be
cut anywhere.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec

from nearstream.client.sagemaker import CallFailed


async def pieces(parts: AsyncGenerator[bytes, None]) -> AsyncGenerator[str, None]:
    """Each piece of text as it comes. Raises CallFailed for an error inside the stream."""
    held = b""
    async with aclosing(parts):
        async for part in parts:
            *lines, held = (held + part).split(b"\n")
            for line in lines:
                text = _text(line)
                if text:
                    yield text


def _text(line: bytes) -> str:
    document = line.removeprefix(b"data:").strip()
    if not document.startswith(b"{"):
        return ""
    event: dict[str, Any] = msgspec.json.decode(document)
    match event:
        case {"error": {"message": str(message)}}:
            raise CallFailed("error", message)
        case {"error": str(message)}:
            raise CallFailed(str(event.get("error_type", event.get("code", "error"))), message)
        case {"token": {"text": str(text)} as token}:
            return "" if token.get("special") else text
        case {"outputs": [str(text), *_]}:
            return text
        case {"choices": [{"delta": {"content": str(text)}}, *_]}:
            return text
    return ""
