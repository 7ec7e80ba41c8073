"""Streamed answers in every format that is read, and bytes cut anywhere."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

from hypothesis import strategies as st

words = st.one_of(st.text(max_size=8), st.sampled_from(['"}', '"', "\\", "\n", "é", "😀", "\x00", "\u2028"]))
texts = st.lists(words, max_size=8)
cuts = st.lists(st.integers(0, 100_000), max_size=20)
FORMATS = ("tgi", "tgi-crlf", "openai-chat", "openai-text", "lines", "outputs", "lmi-events", "pieces")


def cut(data: bytes, at: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(edge % (len(data) + 1) for edge in at), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def dump(document: object, *, ascii_only: bool = False) -> str:
    return json.dumps(document, ensure_ascii=ascii_only)


def stream(name: str, said: Sequence[str]) -> bytes:
    """An answer of these pieces, as a container of that kind streams it, with its usage at the end."""
    return _STREAMS[name](said).encode()


def _tgi(said: Sequence[str], end: str = "\n") -> str:
    events = [": a comment"]
    events += [
        f"event: message{end}data:{dump({'token': {'text': text, 'special': False}})}" for text in said
    ]
    last = {
        "token": {"text": "</s>", "special": True},
        "generated_text": "".join(said),
        "details": {"finish_reason": "eos_token", "generated_tokens": len(said) + 1, "input_length": 3},
    }
    return "".join(f"{event}{end}{end}" for event in [*events, f"data: {dump(last, ascii_only=True)}"])


def _openai(said: Sequence[str], *, chat: bool) -> str:
    chunks: list[dict[str, object]] = [
        {"choices": [{"index": 0, "finish_reason": None, **_choice(text, chat=chat)}]} for text in said
    ]
    chunks.append({"choices": [{"index": 0, "finish_reason": "stop", **_choice("", chat=chat)}]})
    chunks.append({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": len(said) + 1}})
    return "".join(f"data: {dump(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"


def _choice(text: str, *, chat: bool) -> dict[str, object]:
    return {"delta": {"role": "assistant", "content": text}} if chat else {"text": text}


def _lines(said: Sequence[str]) -> str:
    lines: list[dict[str, object]] = [{"token": {"id": 1, "text": text, "log_prob": -1}} for text in said]
    lines.append(
        {
            "token": {"id": 2, "text": "", "special_token": True},
            "generated_text": "".join(said),
            "details": {"finish_reason": "eos_token", "generated_tokens": len(said) + 1, "input_length": 3},
        }
    )
    return "".join(f"{dump(line)}\n" for line in lines)


def _outputs(said: Sequence[str]) -> str:
    return "".join(f"{dump({'outputs': [text]})}\n" for text in [*said, ""])


def _pieces(said: Sequence[str]) -> str:
    details = {"finish_reason": "eos_token", "generated_tokens": len(said) + 1, "input_length": 3}
    return f'{{"generated_text": {dump("".join(said))}, "details": {dump(details)}}}'


_STREAMS = {
    "tgi": _tgi,
    "tgi-crlf": lambda said: _tgi(said, "\r\n"),
    "openai-chat": lambda said: _openai(said, chat=True),
    "openai-text": lambda said: _openai(said, chat=False),
    "lines": _lines,
    "outputs": _outputs,
    "lmi-events": lambda said: "".join(f"data: {line}\n\n" for line in _lines(said).split("\n") if line),
    "pieces": _pieces,
}
