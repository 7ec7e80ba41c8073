"""No body, however odd, makes a dialect do anything but answer or refuse."""

from __future__ import annotations

import json
from contextlib import suppress

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nearstream.core.errors import Invalid
from nearstream.wire.dialects.completions.bodies import ChatBody, ChatTurn, CompletionBody
from nearstream.wire.dialects.hf import completions as openai
from nearstream.wire.dialects.hf.parameters import Parameters
from nearstream.wire.dialects.hf.terms import Terms
from nearstream.wire.dialects.tgi import generate as tgi

TERMS = Terms()
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
PLAUSIBLE = st.sampled_from([1, 0.5, -1, 0, True, "json", "a", [], ["a"], {"type": "json", "value": {}}])
VALUES = st.one_of(
    PLAUSIBLE,
    st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5),
)


def bodies(shape: type[msgspec.Struct]) -> st.SearchStrategy[dict[str, object]]:
    return st.dictionaries(st.sampled_from(shape.__struct_fields__), VALUES, max_size=4)


@given(bodies(Parameters), st.sampled_from(list(tgi.Route)))
def test_generate_bodies(parameters: dict[str, object], route: tgi.Route):
    body = json.dumps({"inputs": "a", "parameters": parameters}).encode()
    with suppress(Invalid):
        tgi.read(body, TERMS, route=route).call()


@given(bodies(ChatBody), st.lists(bodies(ChatTurn)))
def test_chat_bodies(body: dict[str, object], messages: list[dict[str, object]]):
    with suppress(Invalid):
        openai.read_chat(json.dumps({"messages": messages} | body).encode(), TERMS).call()


@given(bodies(CompletionBody))
def test_completion_bodies(body: dict[str, object]):
    with suppress(Invalid):
        openai.read_completion(json.dumps({"prompt": "a"} | body).encode(), TERMS).call()


@given(st.binary())
def test_bytes(body: bytes):
    for read in (openai.read_chat, openai.read_completion):
        with suppress(Invalid):
            read(body, TERMS)
    with suppress(Invalid):
        tgi.read(body, TERMS, route=tgi.Route.COMPAT)
