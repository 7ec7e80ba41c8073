"""One scripted answer in each of LMI's formats, byte for byte.

`python -m tests.golden.test_lmi_answers` writes them. A file of `.parts` has a part to a line: clients of
that format look at parts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nearstream.core.errors import EngineDied, Malformed, NotReady, Overloaded
from nearstream.core.generation import Delta, Finish, Token
from nearstream.core.ports import Encoder, Identity, Payload
from nearstream.wire.dialects.lmi import generate as lmi
from nearstream.wire.dialects.lmi.errors import LmiErrors
from nearstream.wire.dialects.lmi.terms import Format, LmiTerms, lmi_release
from nearstream.wire.dialects.port import ParsedBody

FOLDER = Path(__file__).parent / "lmi"
PROMPT = 'Say "hi"'
IDENTITY = Identity(id="7", model="toy/model", created=1_700_000_000, system_fingerprint="native")
TOKENS = (
    Token(9906, " Hello", -0.12345678806304932),
    Token(11, ',\n\t"a\\b"', -2.0),
    Token(1, "<s>", -0.5, special=True),
    Token(9468, "", -0.0625),
    Token(247, "", -0.25),
    Token(222, "é 😀", -1.5e-7),
    Token(534, '"}', -3.5),
    Token(2, "</s>", -0.001, special=True),
)
FINISH = Finish("eos", prompt_tokens=4, generated_tokens=8, seed=42)
RELEASES = ("0.25.0", "0.27.0", "0.36.0")
DETAILS = {"details": True, "do_sample": True}
CHAT = {"messages": [{"role": "user", "content": "hi"}]}
STREAM: dict[str, Any] = {"stream": True}


def parsed(version: str, form: Format | None = None, **body: Any) -> ParsedBody:
    document = {"inputs": PROMPT} | body
    return lmi.read(json.dumps(document).encode(), LmiTerms(lmi_release(version), form or Format()))


def chat(version: str, form: Format | None = None, **body: Any) -> ParsedBody:
    return lmi.read(json.dumps(CHAT | body).encode(), LmiTerms(lmi_release(version), form or Format()))


LINES, EVENTS, TGI = Format("jsonlines"), Format("sse"), Format(tgi_compat=True)
BODIES = {
    "0.25-pieces.parts": parsed("0.25.0"),
    "0.25-pieces-full-text.parts": parsed("0.25.0", parameters={"return_full_text": True}),
    "0.25-pieces-details.parts": parsed("0.25.0", parameters=DETAILS),
    "0.25-outputs.jsonlines": parsed("0.25.0", LINES),
    "0.25-outputs-full-text.jsonlines": parsed("0.25.0", LINES, parameters={"return_full_text": True}),
    "0.25-unbatched.json": parsed("0.25.0", Format(rolling_batch=False)),
    "0.27-lines.jsonlines": parsed("0.27.0", LINES),
    "0.27-lines-details.jsonlines": parsed("0.27.0", LINES, parameters=DETAILS | {"return_full_text": True}),
    "0.27-events.sse": parsed("0.27.0", EVENTS),
    "0.27-whole.json": parsed("0.27.0"),
    "0.27-whole-details.json": parsed("0.27.0", parameters=DETAILS),
    "0.27-tgi.sse": parsed("0.27.0", TGI, **STREAM),
    "0.27-tgi.json": parsed("0.27.0", TGI),
    "0.27-chat.jsonlines": chat("0.27.0", **STREAM),
    "0.27-chat-logprobs.jsonlines": chat("0.27.0", logprobs=True, **STREAM),
    "0.27-chat.sse": chat("0.27.0", Format("sse_chat"), stream_options={"include_usage": True}, **STREAM),
    "0.27-chat.json": chat("0.27.0", logprobs=True),
    "0.27-chat-of-inputs.json": parsed("0.27.0", Format("json_chat")),
    "0.36-lines.jsonlines": parsed("0.36.0", **STREAM),
    "0.36-lines-details.jsonlines": parsed("0.36.0", parameters=DETAILS, **STREAM),
    "0.36-events.sse": parsed("0.36.0", EVENTS, **STREAM),
    "0.36-whole.json": parsed("0.36.0"),
    "0.36-whole-details.json": parsed("0.36.0", parameters=DETAILS),
    "0.36-tgi.json": parsed("0.36.0", TGI),
    "0.36-chat.sse": chat("0.36.0", **STREAM),
    "0.36-chat.jsonlines": chat("0.36.0", Format(chat_as_lines=True), **STREAM),
}
STREAMED = [name for name, told in BODIES.items() if told.call().stream]
BY_PYTHON = [name for name in BODIES if not name.startswith("0.36-chat")]


def parts(payload: Payload) -> list[bytes]:
    return [payload] if isinstance(payload, bytes) else list(payload)


def said(encoder: Encoder) -> list[bytes]:
    *first, last = TOKENS
    told = [part for token in first for part in parts(encoder.feed(Delta((token,))))]
    return told + parts(encoder.feed(Delta((last,), FINISH)))


def broken(encoder: Encoder) -> list[bytes]:
    return parts(encoder.feed(Delta(TOKENS[:1]))) + parts(encoder.fail(EngineDied("it ended with signal 9")))


def kept(name: str, told: list[bytes]) -> bytes:
    if name.endswith(".parts"):
        return "".join([f"{part!r}\n" for part in told]).encode()
    return b"".join(told)


def written() -> dict[str, bytes]:
    answers = {name: kept(name, said(told.call().encoder(IDENTITY))) for name, told in BODIES.items()}
    for name in STREAMED:
        stem, _, kind = name.rpartition(".")
        encoder = BODIES[name].call().encoder(IDENTITY)
        answers[f"{stem}-breaks.{kind}"] = kept(name, broken(encoder))
    for version in RELEASES:
        told, stem = parsed(version), version.removesuffix(".0")
        answers[f"{stem}-died.json"] = told.error(EngineDied("it ended with signal 9")).body
        answers[f"{stem}-overloaded.json"] = told.error(Overloaded("full")).body
        answers[f"{stem}-loading.json"] = told.error(NotReady("loading")).body
        malformed = Malformed("JSON is malformed: expected ':' (byte 1)")
        answers[f"{stem}-malformed.json"] = LmiErrors(lmi_release(version)).error(malformed).body
    return answers


@pytest.mark.parametrize("name", sorted(written()))
def test_the_answer_is_the_same_to_the_byte(name: str):
    assert written()[name] == (FOLDER / name).read_bytes()


def test_no_file_is_left_over():
    assert {path.name for path in FOLDER.iterdir()} == set(written())


@pytest.mark.parametrize("name", BY_PYTHON)
def test_every_object_is_what_pythons_json_makes_of_it(name: str):
    whole = b"".join(said(BODIES[name].call().encoder(IDENTITY))).decode()
    for line in whole.replace("data: ", "").split("\n"):
        if line and line != "[DONE]":
            assert json.dumps(json.loads(line), ensure_ascii=False) == line


@pytest.mark.parametrize("name", sorted(BODIES))
def test_tokens_in_one_delta_or_in_many_make_the_same_parts(name: str):
    together = parts(BODIES[name].call().encoder(IDENTITY).feed(Delta(TOKENS, FINISH)))
    one_by_one = said(BODIES[name].call().encoder(IDENTITY))
    if not name.endswith(".sse"):
        assert [part for part in one_by_one if part] == together
    assert b"".join(one_by_one) == b"".join(together)


@pytest.mark.parametrize("name", [name for name in STREAMED if name.endswith("lines")])
def test_every_part_is_one_line_and_none_is_blank(name: str):
    encoder = BODIES[name].call().encoder(IDENTITY)
    for part in [*said(encoder), *parts(encoder.fail(EngineDied("gone")))]:
        assert part.endswith(b"\n")
        assert part.count(b"\n") == 1
        assert json.loads(part)


@pytest.mark.parametrize("name", STREAMED)
def test_an_answer_that_ends_with_no_token_is_ended_all_the_same(name: str):
    encoder = BODIES[name].call().encoder(IDENTITY)
    before = parts(encoder.feed(Delta(TOKENS[:1])))
    whole = b"".join([*before, *parts(encoder.feed(Delta((), FINISH)))])
    assert whole.endswith((b"\n", b"}"))
    assert b"Hello" in whole


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, answer in written().items():
        (FOLDER / name).write_bytes(answer)
