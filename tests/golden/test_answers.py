"""One scripted answer in each shape, byte for byte; `python -m tests.golden.test_answers` writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nearstream.core.errors import EngineDied, Overloaded
from nearstream.core.generation import Delta, Finish, Token
from nearstream.core.ports import Encoder, Identity
from nearstream.wire.dialects.hf import completions as openai
from nearstream.wire.dialects.hf.terms import Terms, tgi_release
from nearstream.wire.dialects.port import ParsedBody
from nearstream.wire.dialects.tgi import generate as tgi

FOLDER = Path(__file__).parent / "answers"
PROMPT = 'Say "hi"'
IDENTITY = Identity(id="", model="toy/model", created=1_700_000_000, system_fingerprint="3.3.7-native")
TOKENS = (
    Token(9906, "Hello", -0.12345678806304932),
    Token(11, ",\n", -2.0),
    Token(9468, "", -0.0625),
    Token(222, "é 😀", -1.5e-7),
    Token(2, "</s>", None, special=True),
)
FINISH = Finish("eos", prompt_tokens=4, generated_tokens=5, seed=42)
LATEST, OLD = Terms(), Terms(release=tgi_release("1.0.3"))
CHAT = {"messages": [{"role": "user", "content": "hi"}]}


def generate(route: tgi.Route, terms: Terms = LATEST, **parameters: Any) -> ParsedBody:
    body = {"inputs": PROMPT, "stream": True, "parameters": parameters}
    return tgi.read(json.dumps(body).encode(), terms, route=route)


def chat(**body: Any) -> ParsedBody:
    return openai.read_chat(json.dumps(CHAT | body).encode(), LATEST)


def completion(**body: Any) -> ParsedBody:
    return openai.read_completion(json.dumps({"prompt": PROMPT} | body).encode(), LATEST)


BODIES = {
    "tgi-generate.json": generate(tgi.Route.GENERATE),
    "tgi-generate-details.json": generate(tgi.Route.GENERATE, details=True, top_n_tokens=1),
    "tgi-generate-full-text.json": generate(tgi.Route.GENERATE, return_full_text=True),
    "tgi-stream.sse": generate(tgi.Route.STREAM),
    "tgi-stream-details.sse": generate(tgi.Route.STREAM, details=True, top_n_tokens=1),
    "tgi-stream-full-text.sse": generate(tgi.Route.COMPAT, details=True),
    "tgi-1.0-stream.sse": generate(tgi.Route.STREAM, OLD, details=True),
    "openai-chat.json": chat(),
    "openai-chat-logprobs.json": chat(logprobs=True, top_logprobs=1, temperature=0),
    "openai-chat.sse": chat(stream=True),
    "openai-chat-usage.sse": chat(stream=True, stream_options={"include_usage": True}, logprobs=True),
    "openai-completion.json": completion(echo=True),
    "openai-completion.sse": completion(stream=True, echo=True),
}

ECHO = (Token(5, PROMPT),)


def joined(*payloads: bytes | tuple[bytes, ...]) -> bytes:
    """Each of these dialects makes one chunk of a token."""
    assert all(isinstance(payload, bytes) for payload in payloads)
    return b"".join(payload for payload in payloads if isinstance(payload, bytes))


def best_of(**parameters: Any) -> bytes:
    """Two sequences, of which the second is the more probable one."""
    encoder = generate(tgi.Route.GENERATE, best_of=2, do_sample=True, **parameters).call().encoder(IDENTITY)
    first = Delta((Token(1, "no", -3.0),), Finish("length", 4, 1, seed=1), 0)
    return joined(encoder.feed(first), encoder.feed(Delta(TOKENS, FINISH, 1)))


def called(*, stream: bool) -> bytes:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    encoder = chat(stream=stream, tools=tools, tool_choice="required").call().encoder(IDENTITY)
    texts = ('{"name": "f", "arg', 'uments": {"a"', ": 1}", "}")
    parts = [encoder.feed(Delta((Token(at, text, -1.0),))) for at, text in enumerate(texts)]
    return joined(*parts, encoder.feed(Delta(TOKENS[-1:], FINISH)))


def choices(parsed: ParsedBody) -> bytes:
    """Two answers in turn."""
    encoder = parsed.call().encoder(IDENTITY)
    parts = [encoder.feed(Delta((token,), None, index)) for token in TOKENS[:2] for index in (0, 1)]
    return joined(*parts, *[encoder.feed(Delta(TOKENS[-1:], FINISH, index)) for index in (0, 1)])


def root() -> bytes:
    body = json.dumps({"inputs": PROMPT})
    return said(tgi.read(body.encode(), LATEST, route=tgi.Route.COMPAT).call().encoder(IDENTITY))


def said(encoder: Encoder, prefill: tuple[Token, ...] = ()) -> bytes:
    first, *more, last = TOKENS
    parts = [encoder.feed(Delta((first,), prefill=prefill))]
    parts += [encoder.feed(Delta((token,))) for token in more]
    return joined(*parts, encoder.feed(Delta((last,), FINISH)))


def broken(parsed: ParsedBody) -> bytes:
    encoder = parsed.call().encoder(IDENTITY)
    return joined(encoder.feed(Delta(TOKENS[:1])), encoder.fail(EngineDied("it ended with signal 9")))


def written() -> dict[str, bytes]:
    answers = {
        name: said(parsed.call().encoder(IDENTITY), ECHO if "completion" in name else ())
        for name, parsed in BODIES.items()
    }
    answers["tgi-root.json"] = root()
    answers["tgi-best-of.json"] = best_of(details=True)
    answers["openai-chat-tools.json"] = called(stream=False)
    answers["openai-chat-tools.sse"] = called(stream=True)
    usage = {"include_usage": True}
    answers["openai-completion-choices.json"] = choices(completion(n=2, logprobs=1, temperature=0))
    answers["openai-chat-choices.sse"] = choices(chat(n=2, stream=True, stream_options=usage))
    for name in ("tgi-stream", "openai-chat"):
        answers[f"{name}-breaks.sse"] = broken(BODIES[f"{name}.sse"])
        answers[f"{name}-overloaded.sse"] = BODIES[f"{name}.sse"].error(Overloaded("full")).body
    return answers


@pytest.mark.parametrize("name", sorted(written()))
def test_the_answer_is_the_same_to_the_byte(name: str):
    assert written()[name] == (FOLDER / name).read_bytes()


@pytest.mark.parametrize("name", sorted(BODIES))
def test_tokens_in_one_delta_or_in_many_make_the_same_bytes(name: str):
    together = (
        BODIES[name]
        .call()
        .encoder(IDENTITY)
        .feed(Delta(TOKENS, FINISH, prefill=ECHO if "completion" in name else ()))
    )
    assert together == written()[name]


@pytest.mark.parametrize("name", sorted(name for name in written() if name.endswith(".json")))
def test_a_whole_answer_is_compact_json(name: str):
    answer = written()[name]
    assert json.dumps(
        json.loads(answer), separators=(",", ":"), ensure_ascii=False
    ) == answer.decode().replace("-1.5e-7", "-1.5e-07")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, answer in written().items():
        (FOLDER / name).write_bytes(answer)
