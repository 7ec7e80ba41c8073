"""The DNS server on real sockets, judged by dig and by hand-made TCP clients."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from random import Random

import dns.message
import pytest
import pytest_asyncio
from tests.support.zones import edge_zone, locate

from nearstream.nameserver.rate_limit import RateLimit
from nearstream.nameserver.responder import Names, Responder
from nearstream.nameserver.server import MOST_OF_ONE_ADDRESS, CannotListen, Nameserver, listening

needs_dig = pytest.mark.skipif(
    not shutil.which("dig"), reason="dig is missing: apt-get install bind9-dnsutils"
)
HOST = "127.0.0.1"


def nameserver() -> Nameserver:
    names = Names((edge_zone(),), locate=locate)
    return Nameserver(Responder(lambda: names, Random(1).random))


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Nameserver]:
    async with listening(nameserver(), host=HOST, port=0) as running:
        yield running


async def dig(server: Nameserver, *words: str) -> str:
    command = ["dig", f"@{HOST}", "-p", str(server.port), "+tries=1", "+time=5", "+norecurse", *words]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    return out.decode()


@needs_dig
@pytest.mark.parametrize(
    ("subnet", "address"),
    [("198.51.100.0/24", "192.0.2.1"), ("198.51.101.0/24", "192.0.2.2"), ("198.51.102.0/24", "192.0.2.3")],
)
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
async def test_dig_gets_the_site_near_each_client_subnet(server, subnet, address, transport):
    assert await dig(server, "www.edge.test", f"+subnet={subnet}", "+short", transport) == f"{address}\n"
    told = await dig(server, "www.edge.test", f"+subnet={subnet}", transport)
    assert f"CLIENT-SUBNET: {subnet}/24" in told
    assert " qr aa;" in told


@needs_dig
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("none.edge.test",), "status: NXDOMAIN"),
        (("none.edge.test",), "edge.test.\t\t300\tIN\tSOA"),
        (("www.edge.test", "MX"), "status: NOERROR"),
        (("chat.edge.test",), "IN\tCNAME\twww.edge.test."),
        (("x.wild.edge.test",), "192.0.2.9"),
        (("text.edge.test", "TXT"), '"one" "two"'),
        (("www.edge.test", "ANY", "+notcp"), 'HINFO\t"RFC8482" ""'),
        (("edge.test", "AXFR"), "Transfer failed"),
        (("www.example.com",), "status: REFUSED"),
        (("www.edge.test", "+edns=1", "+noednsneg"), "status: BADVERS"),
        (("www.edge.test", "-c", "CH"), "status: REFUSED"),
        (("www.edge.test", "+opcode=notify"), "status: NOTIMP"),
        (("many.edge.test", "+noedns"), "ANSWER: 100"),
        (("many.edge.test", "+noedns", "+ignore"), " qr aa tc;"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
async def test_dig_sees_what_the_rfcs_say(server, words, expected):
    assert expected in await dig(server, *words)


def framed(name: str) -> bytes:
    wire = dns.message.make_query(name, "A").to_wire()
    return len(wire).to_bytes(2) + wire


async def response(reader: asyncio.StreamReader) -> dns.message.Message:
    length = int.from_bytes(await reader.readexactly(2))
    return dns.message.from_wire(await reader.readexactly(length))


async def test_queries_of_one_connection_are_all_answered_cut_anywhere(server):
    names = ["www.edge.test", "none.edge.test", "chat.edge.test"]
    reader, writer = await asyncio.open_connection(HOST, server.port)
    for byte in b"".join(framed(name) for name in names):
        writer.write(bytes([byte]))
        await writer.drain()
    found = [(await response(reader)).question[0].name.to_text() for _ in names]
    assert found == [f"{name}." for name in names]
    writer.close()


async def test_bytes_that_are_no_query_end_their_connection_and_nothing_else(server):
    reader, writer = await asyncio.open_connection(HOST, server.port)
    writer.write(b"\0\3abc")
    assert await reader.read() == b""
    writer.close()
    reader, writer = await asyncio.open_connection(HOST, server.port)
    writer.write(framed("www.edge.test"))
    assert (await response(reader)).answer
    writer.close()


async def test_one_address_has_a_bounded_number_of_connections(server):
    held = []
    for _ in range(MOST_OF_ONE_ADDRESS):
        reader, writer = await asyncio.open_connection(HOST, server.port)
        writer.write(framed("www.edge.test"))
        assert (await response(reader)).answer
        held.append(writer)
    reader, writer = await asyncio.open_connection(HOST, server.port)
    writer.write(framed("www.edge.test"))
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await response(reader)
    for one in held:
        one.close()


async def test_a_flood_over_udp_gets_truncated_or_no_responses():
    names = Names((edge_zone(),), locate=locate)
    flooded = Nameserver(Responder(lambda: names, Random(1).random), RateLimit(), clock=lambda: 5.0)
    wires = [dns.message.make_query(f"x{number}.edge.test", "A").to_wire() for number in range(40)]
    replies = [flooded.datagram(wire, "192.0.2.7") for wire in wires]
    whole = [reply for reply in replies if reply and not reply[2] & 2]
    cut = [reply for reply in replies if reply and reply[2] & 2]
    assert (len(whole), len(cut), replies.count(None)) == (20, 10, 10)
    assert all(len(reply) == 12 for reply in cut)


async def test_a_port_that_is_taken_is_said_in_a_sentence(server):
    with pytest.raises(CannotListen, match=f"{HOST}:{server.port} cannot be listened on"):
        async with listening(nameserver(), host=HOST, port=server.port):
            pass


async def test_open_connections_do_not_hold_up_the_end():
    async with asyncio.timeout(5):
        async with listening(nameserver(), host=HOST, port=0) as running:
            reader, writer = await asyncio.open_connection(HOST, running.port)
            writer.write(framed("www.edge.test"))
            await response(reader)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await response(reader)
        writer.close()
