"""Who may continue a cached history now, and who waits for another."""

from __future__ import annotations

import numpy as np

from nearstream.engines.openvino.branches import Branches


def tokens(*ids: int) -> np.ndarray:
    return np.array(ids, dtype=np.int64)


HISTORY = tokens(*range(1, 41))


def after(*ids: int) -> np.ndarray:
    return np.concatenate([HISTORY, tokens(*ids)])


def test_the_second_of_two_that_continue_a_history_waits_for_the_first_ones_token():
    branches = Branches()
    branches.ended(0, HISTORY)
    assert branches.claim(1, after(7))
    assert not branches.claim(2, after(8))
    assert branches.claim(1, after(7))
    branches.release(1)
    assert branches.claim(2, after(8))


def test_requests_that_share_less_than_a_history_do_not_wait():
    branches = Branches()
    branches.ended(0, HISTORY)
    assert branches.claim(1, tokens(*range(1, 39), 7))
    assert branches.claim(2, tokens(*range(1, 39), 8))
    assert branches.claim(3, tokens(9, *range(1, 60)))


def test_a_history_that_fills_its_blocks_is_shared_freely():
    branches = Branches()
    branches.ended(0, tokens(*range(65)))  # its last token is not in the cache: it ends at 64, or at 65
    assert branches.claim(1, tokens(*range(64), 100))
    assert branches.claim(2, tokens(*range(64), 101))
    assert branches.claim(3, tokens(*range(65), 100))
    assert not branches.claim(4, tokens(*range(65), 101))


def test_a_request_that_goes_on_in_runs_is_a_history_until_it_ends():
    branches = Branches(kept=0)
    branches.paused(1, HISTORY)
    assert branches.claim(1, after(7))
    assert not branches.claim(2, after(8))
    branches.release(1)
    branches.ended(1, after(7))
    assert branches.claim(2, after(8))
    assert branches.claim(3, after(9))


def test_the_oldest_histories_are_forgotten():
    branches = Branches(kept=2)
    branches.ended(0, HISTORY)
    branches.ended(0, tokens(50, 51, 52))
    assert branches.claim(1, after(7))
    assert branches.claim(2, after(8))


def test_two_that_go_on_in_runs_take_turns_where_they_part_and_then_go_side_by_side():
    branches = Branches()
    for request in (1, 2):
        branches.paused(request, HISTORY)
    assert branches.claim(1, after(7))
    assert not branches.claim(2, after(8))
    branches.release(1)
    branches.paused(1, after(7))
    assert branches.claim(1, after(7, 9))
    assert branches.claim(2, after(8))
