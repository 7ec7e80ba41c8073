"""Where a query came from: the network that its sender shares with its neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network


def network_of(address: str, bits: Mapping[int, int]) -> Network:
    """The first `bits` of an address, by IP version.

    A socket for both families gives IPv4 senders as ::ffff:192.0.2.1: all of them would be one IPv6 network.
    """
    host = ip_address(address.partition("%")[0])
    if isinstance(host, IPv6Address) and host.ipv4_mapped is not None:
        host = host.ipv4_mapped
    return ip_network((host, bits[host.version]), strict=False)
