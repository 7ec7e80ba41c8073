"""A DNS query from its bytes: RFC 1035, EDNS (RFC 6891) and client subnets (RFC 7871), parsed once and
strictly.

dnspython reads the message. What it lets pass and a server must not is refused here: another number of
questions than one (RFC 9619), another operation than a query, a client subnet that claims a scope.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype

PLAIN_BYTES = 512
"""What an answer over UDP may have without EDNS."""
_HEADER = struct.Struct("!6H")
_RESPONSE, _OPCODE, _RECURSION_DESIRED = 0x8000, 0x7800, 0x0100
_QUERY_OPCODE = 0
_TRANSFERS = frozenset({"AXFR", "IXFR"})


@dataclass(frozen=True, slots=True)
class Query:
    """A question that can be answered. `name` is in lower case, its labels in a tuple, bytes outside ASCII
    as escapes.
    """

    name: tuple[str, ...]
    type: str
    most_bytes: int
    """What the client takes over UDP."""
    subnet: IPv4Network | IPv6Network | None
    message: dns.message.Message
    """As it was read, for the header, the question and the options that an answer repeats."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A query that gets an error and no answer; `wire` is that error, complete."""

    rcode: str
    wire: bytes


def read_query(wire: bytes) -> Query | Rejected | None:
    """The query; Rejected with the error to send; None for what gets no reply at all (it is no query)."""
    number, flags, questions, *_ = _HEADER.unpack_from(wire.ljust(_HEADER.size, b"\0"))
    if len(wire) < _HEADER.size or flags & _RESPONSE:
        return None
    if (flags & _OPCODE) >> 11 != _QUERY_OPCODE:
        return Rejected("NOTIMP", _error(number, flags, dns.rcode.NOTIMP))
    if questions != 1:
        return Rejected("FORMERR", _error(number, flags, dns.rcode.FORMERR))
    try:
        message = dns.message.from_wire(wire)
        subnet = _subnet(message)
    except (dns.exception.DNSException, ValueError):
        return Rejected("FORMERR", _error(number, flags, dns.rcode.FORMERR))
    return _accepted(message, subnet)


def _accepted(message: dns.message.Message, subnet: IPv4Network | IPv6Network | None) -> Query | Rejected:
    question = message.question[0]
    if message.edns > 0:
        return Rejected("BADVERS", _refusal(message, dns.rcode.BADVERS))
    kind = dns.rdatatype.to_text(question.rdtype)
    if question.rdclass != dns.rdataclass.IN or kind in _TRANSFERS:
        return Rejected("REFUSED", _refusal(message, dns.rcode.REFUSED))
    labels = tuple(_label(label) for label in question.name.labels if label)
    most = max(message.payload, PLAIN_BYTES) if message.edns >= 0 else PLAIN_BYTES
    return Query(labels, kind, most, subnet, message)


def _label(label: bytes) -> str:
    return label.decode("ascii", "backslashreplace").lower()


def _subnet(message: dns.message.Message) -> IPv4Network | IPv6Network | None:
    """The client subnet of the query; ValueError when there are two or when it claims a scope."""
    found = [option for option in message.options if isinstance(option, dns.edns.ECSOption)]
    if not found:
        return None
    (option,) = found
    if option.scopelen:
        raise ValueError(f"a query's client subnet has scope 0, not {option.scopelen}")
    return ip_network((option.address, option.srclen), strict=False)


def _refusal(message: dns.message.Message, rcode: dns.rcode.Rcode) -> bytes:
    response = dns.message.make_response(message, our_payload=1232)
    response.set_rcode(rcode)
    return response.to_wire()


def _error(number: int, flags: int, rcode: int) -> bytes:
    """A header alone: what cannot be read cannot be repeated."""
    kept = flags & (_OPCODE | _RECURSION_DESIRED)
    return _HEADER.pack(number, _RESPONSE | kept | rcode, 0, 0, 0, 0)
