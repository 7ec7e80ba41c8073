"""What a decider remembers: prefixes that replicas have read, and its own sends; and what the way costs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearstream.edge.steering.coefficients import Coefficients
from nearstream.edge.steering.network import direct_ms, relayed_ms, upload_rounds
from nearstream.edge.steering.own_sends import OwnSends
from nearstream.edge.steering.prefixes import BLOCK_BYTES, PrefixMemory, TokenRatio, chain
from nearstream.edge.steering.views import CachedPrefix, SiteView


@given(st.binary(max_size=4000), st.binary(max_size=4000), st.binary(max_size=4000))
def test_two_bodies_share_the_keys_of_the_blocks_that_they_share(shared, one, other):
    first, second = chain(shared + one), chain(shared + other)
    whole = len(shared) // BLOCK_BYTES
    assert first[:whole] == second[:whole] == chain(shared)
    same = [a == b for a, b in zip(first, second, strict=False)]
    # After the first difference no key is equal, though blocks may be.
    assert same == sorted(same, reverse=True)


def test_a_huge_body_has_a_bounded_chain():
    assert len(chain(bytes(5_000_000))) == 1024


def test_a_conversation_finds_the_replica_that_read_it():
    memory = PrefixMemory()
    body = bytes(range(256)) * 8
    memory.remember(chain(body), ("lax", "1"), now_ms=5)
    found = memory.find(chain(body + b"and more" * 100), tokens_per_byte=0.25)
    assert found.cached == {"lax": {"1": (CachedPrefix(512.0, 5),)}}
    assert memory.find(chain(b"another" * 200), tokens_per_byte=0.25).cached == {}


def test_a_shorter_prefix_that_was_read_later_is_found_as_well():
    memory = PrefixMemory()
    system, talk = b"s" * 1024, b"t" * 1024
    memory.remember(chain(system + talk), ("lax", "0"), now_ms=1)
    memory.remember(chain(system), ("lax", "0"), now_ms=9)
    found = memory.find(chain(system + talk), tokens_per_byte=0.25)
    assert found.cached["lax"]["0"] == (CachedPrefix(512.0, 1), CachedPrefix(256.0, 9))


def test_what_three_replicas_have_read_is_taken_for_a_system_prompt():
    memory = PrefixMemory()
    for number, site in enumerate(("lax", "pdx", "hnl")):
        memory.remember(chain(b"s" * 1024 + bytes([number]) * 600), (site, "0"), now_ms=number)
    assert memory.find(chain(b"s" * 1024 + b"x" * 600), tokens_per_byte=0.25).shared_tokens == 256


def test_a_replica_that_lost_its_cache_is_forgotten():
    memory = PrefixMemory()
    memory.remember(chain(bytes(600)), ("lax", "0"), now_ms=1)
    memory.forget(("lax", "0"))
    assert memory.find(chain(bytes(600)), tokens_per_byte=0.25).cached == {}


@given(st.lists(st.tuples(st.binary(min_size=512, max_size=2048), st.integers(0, 20)), max_size=30))
def test_the_memory_never_outgrows_its_bounds(bodies):
    memory = PrefixMemory(most_keys=10)
    for now_ms, (body, replica) in enumerate(bodies):
        keys = chain(body)
        memory.remember(keys, ("lax", str(replica)), now_ms=now_ms)
        assert len(memory) <= 10
        for replicas in memory.find(keys, tokens_per_byte=1).cached.values():
            assert len(replicas) <= 8


def test_the_least_recently_used_prefix_is_forgotten_first():
    memory = PrefixMemory(most_keys=2)
    one, two, three = (chain(letter * 512) for letter in (b"1", b"2", b"3"))
    for now_ms, keys in enumerate((one, two, one, three)):
        memory.remember(keys, ("lax", "0"), now_ms=now_ms)
    kept = [bool(memory.find(keys, tokens_per_byte=1).cached) for keys in (one, two, three)]
    assert kept == [True, False, True]


def test_an_endpoint_learns_how_many_bytes_make_a_token():
    ratio = TokenRatio()
    assert ratio.tokens_per_byte == 0.25
    for _ in range(300):
        ratio.observe(4300, 1000)
    assert ratio.tokens_per_byte == pytest.approx(1 / 4.3)


def test_own_sends_count_until_a_report_shows_them():
    sends, idle = OwnSends(), Coefficients(20, 0.2)
    sends.add("lax", tokens=100, arrives_at_ms=10)
    sends.add("lax", tokens=50, arrives_at_ms=30)

    def unreported(taken_at_ms: float) -> float:
        view = SiteView("lax", taken_at_ms, idle, ())
        return sends.unreported([view, SiteView("pdx", 0, idle, ())]).get("lax", 0)

    assert [unreported(at) for at in (5, 10, 20, 31, 5)] == [150, 150, 50, 0, 0]


def test_own_sends_to_a_silent_site_have_a_bound():
    sends = OwnSends()
    for _ in range(10_000):
        sends.add("lax", tokens=1, arrives_at_ms=9)
    assert sends.unreported([SiteView("lax", 0, Coefficients(1, 1), ())]) == {"lax": 4096}


@pytest.mark.parametrize(
    ("body_bytes", "rounds"), [(0, 0), (14_600, 0), (14_601, 1), (43_800, 1), (43_801, 2), (120_000, 3)]
)
def test_a_large_body_needs_further_round_trips(body_bytes, rounds):
    assert upload_rounds(body_bytes) == rounds
    assert direct_ms(40, body_bytes=body_bytes, warm=True) == 40 * (1 + rounds)
    assert direct_ms(40, body_bytes=body_bytes, warm=False) == 40 * (3 + rounds)
    assert relayed_ms(40) == 40
