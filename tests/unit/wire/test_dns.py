"""DNS messages to and from bytes, judged by dnspython's reading, by hand-made bytes and by any bytes."""

from __future__ import annotations

import struct

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearstream.wire.dns.query import Query, Rejected, read_query
from nearstream.wire.dns.response import Records, Response, check_values, write_response

WWW = ("www", "edge", "test")


def question(name: str = "www.edge.test", kind: str = "A", **more) -> dns.message.Message:
    return dns.message.make_query(name, kind, **more)


def read(message: dns.message.Message) -> Query:
    query = read_query(message.to_wire())
    assert isinstance(query, Query)
    return query


def subnet(text: str, scope: int = 0) -> dns.edns.ECSOption:
    address, _, length = text.partition("/")
    return dns.edns.ECSOption(address, int(length), scope)


def answered(message: dns.message.Message, response: Response, most_bytes: int = 1232) -> dns.message.Message:
    return dns.message.from_wire(write_response(read(message), response, most_bytes=most_bytes))


def addresses(count: int) -> Response:
    values = tuple(f"192.0.2.{number}" for number in range(count))
    return Response(answer=[Records(WWW, "A", 60, values)])


def test_a_query_is_a_name_in_lower_case_a_type_and_what_the_client_takes():
    query = read(question("WwW.Edge.Test", "AAAA"))
    assert (query.name, query.type, query.most_bytes, query.subnet) == (WWW, "AAAA", 512, None)
    assert read(question(use_edns=0, payload=4096)).most_bytes == 4096
    assert read(question(use_edns=0, payload=100)).most_bytes == 512


@pytest.mark.parametrize("text", ["192.0.2.0/24", "192.0.0.0/17", "0.0.0.0/0", "2001:db8::/56", "::/0"])
def test_a_client_subnet_is_read_and_given_back_with_the_scope_of_the_answer(text):
    message = question(use_edns=0, options=[subnet(text)])
    assert str(read(message).subnet) == text
    (option,) = answered(message, Response(scope=128)).options
    assert isinstance(option, dns.edns.ECSOption)
    assert f"{option.address}/{option.srclen}" == text
    most = 0 if text.endswith("/0") else 48 if ":" in text else 24
    assert option.scopelen == most


def test_who_sent_no_client_subnet_gets_none():
    assert answered(question(use_edns=0), Response(scope=24)).options == ()
    assert answered(question(), Response(scope=24)).edns == -1


def header(*, number=7, flags=0, questions=1) -> bytes:
    return struct.pack("!6H", number, flags, questions, 0, 0, 0)


ASKED = b"\3www\4edge\4test\0\0\1\0\1"


@pytest.mark.parametrize(
    ("wire", "rcode"),
    [
        pytest.param(header(questions=0), "FORMERR", id="no question"),
        pytest.param(header(questions=2) + ASKED + ASKED, "FORMERR", id="two questions"),
        pytest.param(header() + ASKED[:-3], "FORMERR", id="cut question"),
        pytest.param(header() + ASKED + b"more", "FORMERR", id="bytes after the question"),
        pytest.param(header() + b"\xc0\x0c\0\1\0\1", "FORMERR", id="a name that points to itself"),
        pytest.param(header(flags=4 << 11) + ASKED, "NOTIMP", id="notify"),
        pytest.param(header(flags=5 << 11) + ASKED, "NOTIMP", id="update"),
        pytest.param(header() + ASKED[:-1] + b"\3", "REFUSED", id="class chaos"),
        pytest.param(question(kind="AXFR").to_wire(), "REFUSED", id="zone transfer"),
        pytest.param(question(kind="IXFR").to_wire(), "REFUSED", id="incremental transfer"),
        pytest.param(question(use_edns=1).to_wire(), "BADVERS", id="EDNS version 1"),
        pytest.param(
            question(use_edns=0, options=[subnet("192.0.2.0/24", 24)]).to_wire(), "FORMERR", id="scope"
        ),
        pytest.param(
            question(use_edns=0, options=[subnet("192.0.2.0/24"), subnet("0.0.0.0/0")]).to_wire(),
            "FORMERR",
            id="two client subnets",
        ),
    ],
)
def test_what_is_no_proper_query_gets_the_error_that_the_rfcs_name(wire, rcode):
    found = read_query(wire)
    assert isinstance(found, Rejected)
    assert found.rcode == rcode
    reply = dns.message.from_wire(found.wire)
    assert dns.rcode.to_text(reply.rcode()) == rcode
    assert reply.flags & dns.flags.QR
    assert reply.id == struct.unpack("!H", wire[:2])[0]


@pytest.mark.parametrize("wire", [b"", b"\0" * 11, header(flags=0x8000) + ASKED])
def test_what_is_no_query_at_all_gets_no_reply(wire):
    assert read_query(wire) is None


def test_the_question_comes_back_byte_for_byte_and_so_does_the_wish_for_recursion():
    message = question("wWw.eDgE.tEsT")
    wire = write_response(read(message), addresses(1), most_bytes=1232)
    assert b"\3wWw\4eDgE\4tEsT\0" in wire
    reply = dns.message.from_wire(wire)
    assert reply.flags & dns.flags.AA and reply.flags & dns.flags.RD
    assert not reply.flags & dns.flags.RA
    assert reply.id == message.id


def test_a_negative_answer_bears_the_soa_in_its_authority():
    soa = Records(
        ("edge", "test"), "SOA", 300, ("ns.edge.test. hostmaster.edge.test. 7 7200 900 1209600 300",)
    )
    reply = answered(question(), Response("NXDOMAIN", authority=[soa]))
    assert reply.rcode() == dns.rcode.NXDOMAIN
    assert (reply.authority[0].rdtype, reply.authority[0].ttl) == (dns.rdatatype.SOA, 300)


@given(st.integers(1, 200), st.sampled_from([512, 1232, 65_535]))
def test_no_response_is_longer_than_asked_and_a_cut_one_says_so(count, most_bytes):
    wire = write_response(read(question()), addresses(count), most_bytes=most_bytes)
    assert len(wire) <= most_bytes
    reply = dns.message.from_wire(wire)
    whole = bool(reply.answer) and len(reply.answer[0]) == count
    assert whole != bool(reply.flags & dns.flags.TC)


def test_a_response_that_is_to_be_asked_again_over_tcp_has_no_records():
    reply = answered(question(), Response(answer=addresses(3).answer, truncated=True))
    assert reply.flags & dns.flags.TC and not reply.answer


@given(st.binary(max_size=200))
def test_no_bytes_raise(data):
    assert isinstance(read_query(data), Query | Rejected | None)


@given(st.data())
def test_no_mutated_query_raises_and_each_that_is_read_can_be_answered(data):
    options = [subnet("192.0.2.0/24")]
    wire = bytearray(question(use_edns=0, options=options, payload=1400).to_wire())
    for _ in range(data.draw(st.integers(1, 6))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    query = read_query(
        bytes(wire[: data.draw(st.integers(0, len(wire)))] if data.draw(st.booleans()) else wire)
    )
    if isinstance(query, Query):
        reply = write_response(query, addresses(2), most_bytes=query.most_bytes)
        assert dns.message.from_wire(reply).flags & dns.flags.QR


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("A", "192.0.2.1"),
        ("AAAA", "2001:db8::1"),
        ("TXT", '"one" "two"'),
        ("MX", "10 mail.edge.test."),
        ("CAA", '0 issue "ca.example"'),
        ("SRV", "1 2 443 www.edge.test."),
        ("HTTPS", "1 . alpn=h2"),
        ("NAPTR", '10 100 "S" "SIP+D2U" "" _sip._udp.edge.test.'),
    ],
)
def test_values_of_each_type_are_checked_before_they_are_kept(kind, value):
    check_values(kind, [value])
    with pytest.raises(ValueError, match=f"no value of type {kind}"):
        check_values(kind, ["\x00 no such value ("])
