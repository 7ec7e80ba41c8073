"""What a query's bytes get, what is kept of it, and what a flood gets."""

from __future__ import annotations

from random import Random

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.zones import edge_zone, locate

from nearstream.edge.zones.records import Conditions
from nearstream.nameserver.rate_limit import NETWORK_BITS, RateLimit, Verdict
from nearstream.nameserver.responder import Names, Responder
from nearstream.nameserver.senders import network_of

NETWORK, OTHER_NETWORK = (network_of(one, NETWORK_BITS) for one in ("192.0.2.7", "198.51.100.7"))


class Server:
    """A responder whose names can be replaced."""

    def __init__(self) -> None:
        self.names = Names((edge_zone(),), locate=locate)
        self.responder = Responder(lambda: self.names, Random(1).random)

    def ask(self, message: dns.message.Message, *, stream=False, now_s=0.0, source="192.0.2.200"):
        reply = self.responder.reply(message.to_wire(), source, stream=stream, now_s=now_s)
        return dns.message.from_wire(reply.wire)

    def values(self, message: dns.message.Message, **more) -> list[str]:
        return [str(value) for rrset in self.ask(message, **more).answer for value in rrset]


def question(name: str, kind: str = "A", subnet: str | None = None) -> dns.message.Message:
    address, _, length = (subnet or "").partition("/")
    options: list[dns.edns.Option] = [dns.edns.ECSOption(address, int(length))] if subnet else []
    return dns.message.make_query(name, kind, use_edns=0 if subnet else -1, options=options)


@pytest.mark.parametrize(
    ("subnet", "address", "scope"),
    [
        ("198.51.100.0/24", "192.0.2.1", 24),
        ("198.51.101.0/24", "192.0.2.2", 24),
        ("198.51.102.0/24", "192.0.2.3", 24),
        ("2001:db8:1:100::/56", "192.0.2.3", 48),
        ("0.0.0.0/0", "192.0.2.3", 0),
    ],
)
def test_a_client_subnet_gets_the_site_near_it_and_the_scope_that_decided(subnet, address, scope):
    reply = Server().ask(question("www.edge.test", subnet=subnet))
    assert [str(value) for value in reply.answer[0]] == [address]
    (option,) = reply.options
    assert isinstance(option, dns.edns.ECSOption)
    assert option.scopelen == scope


def test_an_answer_for_every_client_has_scope_0():
    (option,) = Server().ask(question("text.edge.test", "TXT", "198.51.101.0/24")).options
    assert option.scopelen == 0


@pytest.mark.parametrize(
    ("name", "kind", "rcode", "soa"),
    [
        ("none.edge.test", "A", "NXDOMAIN", True),
        ("www.edge.test", "MX", "NOERROR", True),
        ("wild.edge.test", "A", "NOERROR", True),
        ("www.example.com", "A", "REFUSED", False),
        ("none.edge.test", "ANY", "NXDOMAIN", True),
    ],
)
def test_what_is_not_there_is_answered_with_the_zone_s_soa(name, kind, rcode, soa):
    reply = Server().ask(question(name, kind))
    assert dns.rcode.to_text(reply.rcode()) == rcode
    assert [rrset.ttl for rrset in reply.authority] == ([300] if soa else [])
    assert bool(reply.flags & dns.flags.AA) == (rcode != "REFUSED")


def test_any_gets_one_small_record():
    assert Server().values(question("www.edge.test", "ANY")) == ['"RFC8482" ""']


def test_a_delegation_is_a_referral_with_addresses_and_not_our_own_answer():
    reply = Server().ask(question("a.lent.edge.test"))
    assert not reply.answer and not reply.flags & dns.flags.AA
    assert [str(value) for value in reply.authority[0]] == ["ns.lent.edge.test."]
    assert [str(value) for value in reply.additional[0]] == ["192.0.2.77"]


def test_name_servers_of_the_zone_come_with_their_addresses():
    assert [str(value) for value in Server().ask(question("edge.test", "NS")).additional[0]] == ["192.0.2.53"]


def test_an_answer_that_would_amplify_is_truncated_over_udp_and_whole_over_tcp():
    server, many = Server(), question("many.edge.test")
    many.use_edns(0, payload=4096)
    reply = server.ask(many)
    assert reply.flags & dns.flags.TC and not reply.answer
    assert len(server.values(many, stream=True)) == 100


def test_a_kept_answer_has_the_new_query_s_id_and_spelling():
    server = Server()
    first, second = question("www.edge.test"), question("www.edge.test")
    assert first.id != second.id
    assert server.ask(first).id == first.id
    assert server.ask(second).id == second.id
    assert server.ask(question("WWW.edge.test")).question[0].to_text().startswith("WWW.")


def test_a_change_of_health_is_in_the_next_answer():
    server, near_lax = Server(), question("www.edge.test", subnet="198.51.101.0/24")
    assert server.values(near_lax) == ["192.0.2.2"]
    server.names = Names(server.names.zones, Conditions({"lax": False}), locate)
    assert server.values(near_lax) == ["192.0.2.1"]


def test_what_depends_on_chance_is_not_kept():
    server, half = Server(), question("half.edge.test")
    assert len({tuple(server.values(half)) for _ in range(40)}) == 2


def test_resolvers_of_two_networks_do_not_get_each_other_s_answer():
    server, plain = Server(), question("www.edge.test")
    found = [
        server.values(plain, source=source) for source in ("198.51.101.9", "198.51.102.9", "198.51.101.8")
    ]
    assert found == [["192.0.2.2"], ["192.0.2.3"], ["192.0.2.2"]]


@given(st.binary(max_size=120), st.booleans())
def test_no_bytes_raise(data, stream):
    Server().responder.reply(data, "192.0.2.200", stream=stream, now_s=0.0)


@given(st.lists(st.text("ab*.\\-_\x00é", max_size=9).map(lambda text: text.encode()), max_size=6))
def test_any_labels_are_answered(labels):
    name = b"".join(bytes([len(label)]) + label for label in labels if label)
    wire = b"\0\7\1\0\0\1\0\0\0\0\0\0" + name + b"\4edge\4test\0\0\1\0\1"
    reply = Server().responder.reply(wire, "192.0.2.200", stream=False, now_s=0.0)
    assert reply is not None and reply.wire[:2] == b"\0\7"


def test_a_flood_is_answered_twenty_times_a_second_then_cut_or_dropped():
    limit, network = RateLimit(), NETWORK
    seen = [limit.judge(network, "a", now_s=1.0) for _ in range(24)]
    assert seen == [Verdict.SEND] * 20 + [Verdict.TRUNCATE, Verdict.DROP] * 2
    assert limit.judge(network, "b", now_s=1.0) is Verdict.SEND
    assert limit.judge(OTHER_NETWORK, "a", now_s=1.0) is Verdict.SEND
    assert limit.judge(network, "a", now_s=1.06) is Verdict.SEND


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.254", True),
        ("192.0.2.1", "192.0.3.1", False),
        ("2001:db8::1", "2001:db8:0:ff::1", True),
        ("2001:db8::1", "2001:db8:0:100::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("::ffff:192.0.2.1", "192.0.2.9", True),
        ("::ffff:192.0.2.1", "::ffff:198.51.100.1", False),
    ],
)
def test_neighbours_share_a_network(one, other, same):
    assert (network_of(one, NETWORK_BITS) == network_of(other, NETWORK_BITS)) == same


def test_the_buckets_have_a_bound():
    limit = RateLimit(most_buckets=10)
    for number in range(100):
        limit.judge(NETWORK, number, now_s=1.0)
    assert len(limit) == 10
