"""Whole answers, refusals in TGI's words, and which route takes which body."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.contract.replica.scripted import Server, Witness, ids_of, serving, settings

from nearstream.wire.dialects.hf.terms import Terms, tgi_release
from nearstream.wire.dialects.limits import Limits

LIMITS = Limits(max_input_tokens=64, max_total_tokens=128)
TOTAL = (
    "`inputs` tokens + `max_new_tokens` must be <= 128. Given: {n} `inputs` tokens and 100 `max_new_tokens`"
)
CHAT = {"messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(settings(tmp_path), Witness(ids_of("hello", tmp_path))) as running:
        yield running


async def post(server: Server, path: str, body: object, **options: Any) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with aiohttp.ClientSession(server.url) as session:
        response = await session.post(path, data=data, **options)
        content = await response.read()
    return response.status, json.loads(content) if content.startswith((b"{", b"[")) else content


async def test_generate_answers_with_an_object(server: Server, tmp_path: Path):
    ids = ids_of("hello", tmp_path)
    status, answer = await post(server, "/generate", {"inputs": "hi", "parameters": {"details": True}})
    assert status == 200
    assert list(answer) == ["generated_text", "details"]
    assert answer["generated_text"] == "hello"
    details = answer["details"]
    assert list(details) == ["finish_reason", "generated_tokens", "seed", "prefill", "tokens"]
    assert (details["finish_reason"], details["generated_tokens"]) == ("eos_token", len(ids))
    assert [token["id"] for token in details["tokens"]] == ids


async def test_the_root_answers_with_an_array_and_the_full_text(server: Server):
    assert await post(server, "/", {"inputs": "hi "}) == (200, [{"generated_text": "hi hello"}])
    body = {"inputs": "hi ", "parameters": {"return_full_text": False}}
    assert await post(server, "/", body) == (200, [{"generated_text": "hello"}])


async def test_a_whole_answer_says_how_long_it_took(server: Server):
    async with aiohttp.ClientSession(server.url) as session:
        response = await session.post("/generate", json={"inputs": "hi"})
    names = "compute-type compute-characters total-time validation-time queue-time inference-time"
    assert all(f"x-{name}" in response.headers for name in names.split())
    assert float(response.headers["x-compute-time"]) >= 0
    assert response.headers["x-prompt-tokens"] == "3"
    assert response.headers["x-generated-tokens"] == str(len(server.engine.ids))


async def test_an_absent_limit_fills_the_context(server: Server):
    await post(server, "/generate", {"inputs": "hi"})
    prompt, sampling, max_new_tokens = server.engine.asked[0]
    assert max_new_tokens == 128 - len(prompt)
    assert sampling.do_sample is True


async def test_sampling_without_a_seed_gets_one_and_says_so(server: Server):
    body = {"inputs": "hi", "parameters": {"do_sample": True, "details": True}}
    _, answer = await post(server, "/generate", body)
    assert answer["details"]["seed"] == server.engine.asked[0][1].seed is not None


async def test_truncate_keeps_the_last_tokens(server: Server, tmp_path: Path):
    await post(server, "/generate", {"inputs": "the quick brown fox", "parameters": {"truncate": 2}})
    assert server.engine.asked[0][0] == ids_of("the quick brown fox", tmp_path, eos=False)[-2:]


@pytest.mark.parametrize(
    ("inputs", "parameters", "message"),
    [
        ("a " * 80, {"max_new_tokens": 1}, "`inputs` must have less than 64 tokens. Given: {n}"),
        (
            "a " * 80,
            {"max_new_tokens": 100},
            TOTAL,
        ),
        ("", {}, "`inputs` cannot be empty"),
    ],
)
async def test_too_many_tokens_are_refused_in_tgis_words(
    server: Server, tmp_path: Path, inputs: str, parameters: dict[str, Any], message: str
):
    count = 1 + len(ids_of(inputs, tmp_path, eos=False))
    wanted = {"error": "Input validation error: " + message.format(n=count), "error_type": "validation"}
    body = {"inputs": inputs, "parameters": parameters}
    assert await post(server, "/generate", body) == (422, wanted)
    status, stream = await post(server, "/generate_stream", body)
    assert (status, json.loads(stream.removeprefix(b"data: "))) == (200, wanted)


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b"", 400), (b"\xff", 400), (b"{}", 422), (b"[]", 422), (b'{"inputs": 1}', 422)],
)
@pytest.mark.parametrize("path", ["/generate", "/generate_stream", "/v1/chat/completions", "/invocations"])
async def test_a_body_that_cannot_be_read_is_refused_before_any_stream(
    server: Server, path: str, body: bytes, status: int
):
    got, answer = await post(server, path, body)
    assert got == status
    assert answer["error_type"] == "validation"


@pytest.mark.parametrize(
    ("media", "status"),
    [
        ("application/json; charset=utf-8", 200),
        ("application/vnd.api+json", 200),
        ("application/octet-stream", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
    ],
)
@pytest.mark.parametrize("path", ["/generate", "/invocations", "/tokenize"])
async def test_a_body_that_is_said_not_to_be_json_is_refused(
    server: Server, path: str, media: str, status: int
):
    got, answer = await post(server, path, {"inputs": "hi"}, headers={"Content-Type": media})
    assert got == status
    if status == 415:
        message = "Expected request with `Content-Type: application/json`"
        assert answer == {"error": message, "error_type": "validation"}


async def test_a_body_over_the_limit_is_refused(server: Server):
    status, answer = await post(server, "/generate", {"inputs": "a" * 2_000_001})
    assert (status, answer["error_type"]) == (413, "validation")


async def test_an_unknown_path_is_answered_in_json(server: Server):
    status, answer = await post(server, "/nothing", {})
    assert (status, answer) == (404, {"error": "Not Found", "error_type": "not_found"})


async def test_a_chat_without_a_template_is_refused_before_any_stream(tmp_path: Path):
    (tmp_path / "model").mkdir()
    told = settings(tmp_path / "model")
    (told.model_directory / "tokenizer_config.json").write_text("{}")
    async with serving(told, Witness([])) as server:
        answer = await post(server, "/v1/chat/completions", CHAT | {"stream": True})
    assert answer == (422, {"error": "Template error: template not found", "error_type": "template_error"})


@pytest.mark.parametrize(
    ("version", "switch", "body", "kind"),
    [
        ("3.3.7", False, {"inputs": "hi"}, list),
        ("3.3.7", False, CHAT, "chat.completion"),
        ("2.4.0", False, {"prompt": "hi"}, "text_completion"),
        ("3.3.7", False, {"prompt": "hi", "inputs": "hi"} | CHAT, list),
        ("2.0.1", True, CHAT, "chat.completion"),
        ("2.0.1", False, {"inputs": "hi"}, list),
        ("1.0.3", True, {"inputs": "hi"}, list),
    ],
)
async def test_invocations_takes_what_its_release_takes(
    tmp_path: Path, version: str, switch: bool, body: dict[str, Any], kind: type | str
):
    terms = Terms(release=tgi_release(version), limits=LIMITS)
    told = settings(tmp_path, terms=terms, messages_api=switch)
    async with serving(told, Witness(ids_of("hello", tmp_path))) as server:
        status, answer = await post(server, "/invocations", body)
    assert status == 200
    assert isinstance(answer, kind) if isinstance(kind, type) else answer["object"] == kind


async def test_an_old_release_looks_old(tmp_path: Path):
    terms = Terms(release=tgi_release("1.0.3"), limits=LIMITS)
    engine = Witness(ids_of("hello", tmp_path))
    async with serving(settings(tmp_path, terms=terms), engine) as server:
        _, stream = await post(server, "/generate_stream", {"inputs": "hi", "parameters": {"details": True}})
    assert stream.startswith(b'data:{"token":{"id":')
    assert b'"index"' not in stream
    assert b'"input_length"' not in stream
    assert engine.asked[0][2] == 20


async def test_a_key_guards_the_routes_that_work(tmp_path: Path):
    engine = Witness(ids_of("hello", tmp_path))
    async with serving(settings(tmp_path, api_key="secret"), engine) as server:
        assert await post(server, "/generate", {"inputs": "hi"}) == (401, b"")
        right = {"Authorization": "Bearer secret"}
        assert (await post(server, "/generate", {"inputs": "hi"}, headers=right))[0] == 200
        async with aiohttp.ClientSession(server.url) as session:
            assert (await session.get("/health")).status == 200


async def test_tokenize_gives_byte_offsets(server: Server):
    _, tokens = await post(server, "/tokenize", {"inputs": "é hello"})
    assert tokens[0] == {"id": 1, "text": "", "start": 0, "stop": 0}
    assert tokens[-1] == {"id": tokens[-1]["id"], "text": " hello", "start": 2, "stop": 8}


async def test_chat_tokenize_shows_what_the_model_sees(server: Server):
    status, shown = await post(server, "/chat_tokenize", CHAT)
    text = "<s><|user|>\nhi<|end|>\n<|assistant|>\n"
    assert (status, shown["templated_text"]) == (200, text)
    assert shown["tokenize_response"][:2] == [
        {"id": 1, "text": "<s>", "start": 0, "stop": 3},
        {"id": 3, "text": "<|user|>", "start": 3, "stop": 11},
    ]


async def test_info_has_the_keys_of_every_release(server: Server):
    async with aiohttp.ClientSession(server.url) as session:
        told = await (await session.get("/info")).json()
    assert told["model_id"] == "toy/model"
    assert told["max_input_tokens"] == told["max_input_length"] == 64
    assert told["max_concurrent_requests"] == 128


async def test_a_bug_never_shows_its_stack(tmp_path: Path):
    engine = Witness([])  # its script divides by the number of its words
    async with serving(settings(tmp_path), engine) as server:
        status, answer = await post(server, "/generate", {"inputs": "hi"})
        assert await post(server, "/generate_stream", {"inputs": "hi"}) == (500, answer)
    assert (status, answer["error_type"]) == (500, "incomplete_generation")
