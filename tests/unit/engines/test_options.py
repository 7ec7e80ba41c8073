from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nearstream.core.errors import Unsupported
from nearstream.core.generation import Grammar, Sampling
from nearstream.engines.openvino.options import options_of, refuse_unsupported


def test_what_is_not_asked_for_changes_nothing():
    options = options_of(Sampling(), max_new_tokens=5, seed=9)
    assert (options.temperature, options.top_p, options.top_k, options.repetition_penalty) == (
        1.0,
        1.0,
        0,
        1.0,
    )
    assert (options.frequency_penalty, options.presence_penalty, options.seed) == (0.0, 0.0, 9)


def test_a_seed_of_zero_is_a_seed():
    assert options_of(Sampling(seed=0), max_new_tokens=5, seed=9).seed == 0


def test_the_engine_is_told_the_grammar_as_it_was_written_for_it():
    held = Sampling(grammar=Grammar("regex", "a"))
    assert options_of(held, max_new_tokens=1, seed=0, grammar='root ::= "a"').grammar == 'root ::= "a"'


def test_a_typical_p_of_one_asks_for_nothing():
    refuse_unsupported(Sampling(typical_p=1.0), grammar=False)


def test_typical_p_is_taken_with_a_top_k_or_a_top_p_and_told():
    refuse_unsupported(Sampling(do_sample=True, typical_p=0.95, top_k=256, temperature=3.0), grammar=True)
    wanted = Sampling(do_sample=True, typical_p=0.95, top_p=0.95, temperature=0.8)
    refuse_unsupported(wanted, grammar=True)
    refuse_unsupported(replace(wanted, top_k=10, repetition_penalty=1.03), grammar=True)
    assert options_of(wanted, max_new_tokens=1, seed=0).typical_p == 0.95
    assert options_of(Sampling(), max_new_tokens=1, seed=0).typical_p == 1.0


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"top_k": None}, "give it a top_k of at most 256"),
        ({"top_k": 257}, "give it a top_k of at most 256"),
        ({"top_k": None, "top_p": 0.9, "temperature": 1.1}, "or a top_p and a temperature of at most 1"),
        ({"top_k": None, "top_p": 0.9}, "beside a repetition_penalty give it a top_k of at most 256"),
        ({"do_sample": False}, "give it a top_k of at most 256"),
        ({"frequency_penalty": 0.1}, "not beside frequency_penalty, presence_penalty"),
        ({"presence_penalty": -0.1}, "not beside frequency_penalty, presence_penalty"),
        ({"grammar": Grammar("regex", "a")}, "not beside frequency_penalty, presence_penalty, a grammar"),
        ({"adapter": "law"}, "not beside frequency_penalty, presence_penalty, a grammar or an adapter"),
    ],
)
def test_typical_p_is_refused_where_the_candidates_would_not_be_the_right_ones(
    changes: dict[str, Any], hint: str
):
    asked = {"do_sample": True, "typical_p": 0.95, "top_k": 10, "repetition_penalty": 1.03} | changes
    with pytest.raises(Unsupported, match=hint) as refused:
        refuse_unsupported(Sampling(**asked), grammar=True)
    assert refused.value.option == "typical_p"


def test_the_chosen_token_alone_can_be_told_when_it_is_the_likeliest():
    refuse_unsupported(Sampling(top_n_tokens=1), grammar=False)
    with pytest.raises(Unsupported):
        refuse_unsupported(Sampling(top_n_tokens=1, do_sample=True), grammar=False)


def test_a_grammar_is_refused_where_the_model_has_no_tokenizer_for_it():
    wanted = Sampling(grammar=Grammar("regex", "a"))
    refuse_unsupported(wanted, grammar=True)
    with pytest.raises(Unsupported, match="grammar"):
        refuse_unsupported(wanted, grammar=False)
