from __future__ import annotations

import numpy as np
import pytest

from nearstream.engines.openvino.frames import Options
from nearstream.engines.openvino.recovery import Request, split_after_fault


def request(request_id: int, *, made: tuple[int, ...] = (), **options) -> Request:
    held = Request(request_id, np.array([5, 6]), Options(10, seed=2**64 - 1, **options))
    held.take(made)
    return held


def test_the_one_new_grammar_is_blamed_and_the_others_go_on():
    plain, suspect = request(1, made=(7, 8)), request(2, grammar="(((")
    split = split_after_fault([plain, suspect], "not closed")
    assert (split.resumed, split.suspects) == ((plain,), ())
    assert [(f.id, f.kind) for f in split.failures] == [(2, "invalid")]


def test_several_new_grammars_are_tried_one_by_one():
    plain, one, other = request(1), request(2, grammar="((("), request(3, grammar="{}")
    split = split_after_fault([plain, one, other], "not closed")
    assert (split.resumed, split.suspects, split.failures) == ((plain,), (one, other), ())


def test_a_fault_that_no_grammar_explains_is_everyones():
    split = split_after_fault([request(1), request(2, made=(7,), grammar="a+")], "out of memory")
    assert [(f.id, f.kind, f.message) for f in split.failures] == [
        (1, "failed", "out of memory"),
        (2, "failed", "out of memory"),
    ]


def test_plain_text_goes_on_from_what_was_made():
    plain = request(1, made=(7, 8))
    tokens, options = plain.next_run()
    assert tokens.tolist() == [5, 6, 7, 8]
    assert (options.max_new_tokens, options.seed) == (8, 1)
    assert plain.take([9]) == 0


def test_a_grammar_under_way_runs_again_and_tells_nothing_twice():
    ruled = request(1, made=(7, 8), grammar="a+")
    tokens, options = ruled.next_run()
    assert (tokens.tolist(), options.max_new_tokens) == ([5, 6], 10)
    assert [ruled.take([7]), ruled.take([8, 9]), ruled.take([10])] == [1, 1, 0]


def test_a_second_run_that_says_something_else_is_an_error():
    ruled = request(1, made=(7, 8), grammar="a+")
    ruled.next_run()
    with pytest.raises(ValueError, match="could not be continued"):
        ruled.take([9])
