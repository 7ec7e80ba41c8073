"""A DNS response to bytes: RFC 1035, negative answers (RFC 2308), truncation, client subnets with their
scope (RFC 7871).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from nearstream.wire.dns.query import Query

PAYLOAD_BYTES = 1232
"""The most over UDP: it fits the smallest IPv6 packet, so that nothing is cut up on the way."""
MOST_BYTES = 65_535
LONGEST_SCOPE = {4: 24, 6: 48}

Rcode = Literal["NOERROR", "NXDOMAIN", "REFUSED", "SERVFAIL"]


@dataclass(frozen=True, slots=True)
class Records:
    """One name, one type, one TTL. Values are written as in a zone file; the name's labels are plain
    characters.
    """

    name: tuple[str, ...]
    type: str
    ttl_s: int
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Response:
    """What is sent back; `scope` is the part of the client's address that the answer depends on, in bits."""

    rcode: Rcode = "NOERROR"
    authoritative: bool = True
    answer: Sequence[Records] = ()
    authority: Sequence[Records] = ()
    additional: Sequence[Records] = ()
    scope: int = 0
    truncated: bool = field(default=False)
    """Send no records and tell the client to ask over TCP."""


def write_response(query: Query, response: Response, *, most_bytes: int) -> bytes:
    """The bytes, at most so many; what does not fit is left out and the answer marked as truncated."""
    message = dns.message.make_response(query.message, our_payload=PAYLOAD_BYTES)
    message.set_rcode(dns.rcode.from_text(response.rcode))
    if response.authoritative:
        message.flags |= dns.flags.AA
    _set_subnet(message, query, response.scope)
    if response.truncated:
        message.flags |= dns.flags.TC
    else:
        message.answer = [_rrset(records) for records in response.answer]
        message.authority = [_rrset(records) for records in response.authority]
        message.additional = [_rrset(records) for records in response.additional]
    return message.to_wire(max_size=most_bytes, prefer_truncation=True)


def check_values(kind: str, values: Sequence[str]) -> None:
    """ValueError with a sentence when a value is none of its type."""
    for value in values:
        try:
            dns.rrset.from_text(dns.name.root, 0, dns.rdataclass.IN, kind, value)
        except (dns.exception.DNSException, ValueError) as error:
            raise ValueError(f"{value!r} is no value of type {kind}: {error}") from error


def wire_name(name: Sequence[str]) -> dns.name.Name:
    """A name for dnspython, from its labels."""
    return dns.name.Name([*(label.encode() for label in name), b""])


def _rrset(records: Records) -> dns.rrset.RRset:
    return dns.rrset.from_text_list(
        wire_name(records.name), records.ttl_s, dns.rdataclass.IN, records.type, list(records.values)
    )


def _set_subnet(message: dns.message.Message, query: Query, scope: int) -> None:
    """Only who sent a client subnet gets one back: its own, with the scope of the answer."""
    if query.subnet is None:
        return
    most = LONGEST_SCOPE[query.subnet.version]
    # A client that sent no bits of its address wants an answer for everybody.
    length = min(scope, most) if query.subnet.prefixlen else 0
    option = dns.edns.ECSOption(str(query.subnet.network_address), query.subnet.prefixlen, length)
    message.use_edns(0, 0, PAYLOAD_BYTES, options=[option])
