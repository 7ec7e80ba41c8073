from __future__ import annotations

import numpy as np

from nearstream.engines.openvino.frames import Options
from nearstream.engines.openvino.recovery import Request, split_after_fault


def request(request_id: int, *, made: tuple[int, ...] = (), **options) -> Request:
    held = Request(request_id, np.array([5, 6]), Options(10, seed=2**64 - 1, **options))
    held.made(made)
    return held


def test_a_new_grammar_is_blamed_and_the_others_go_on_from_where_they_were():
    plain, suspect = request(1, made=(7, 8)), request(2, regex="(((")
    split = split_after_fault([plain, suspect], "not closed")
    assert split.resumed == (plain,)
    assert [(f.id, f.kind) for f in split.failures] == [(2, "invalid")]
    assert plain.tokens.tolist() == [5, 6, 7, 8]
    assert (plain.remaining.max_new_tokens, plain.remaining.seed) == (8, 1)


def test_a_grammar_under_way_cannot_go_on():
    split = split_after_fault([request(1, made=(7,), regex="a+"), request(2, json_schema="{{")], "bad")
    assert split.resumed == ()
    assert {f.id: f.kind for f in split.failures} == {1: "failed", 2: "invalid"}


def test_a_fault_that_no_grammar_explains_is_everyones():
    split = split_after_fault([request(1), request(2, made=(7,))], "out of memory")
    assert [(f.id, f.kind, f.message) for f in split.failures] == [
        (1, "failed", "out of memory"),
        (2, "failed", "out of memory"),
    ]
