"""The places of a server's connections: who has one, who makes room, and who gets none."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator
from typing import Protocol

from nearstream.connections.limits import ConnectionLimits

LOCAL = ""
"""The peer of connections from this machine, over a Unix socket or loopback."""


class Held(Protocol):
    """A connection that has a place."""

    @property
    def peer(self) -> str: ...

    @property
    def proven(self) -> bool:
        """Whether a request on it was answered well."""
        ...

    @property
    def idle(self) -> bool:
        """Whether it has no request, so that ending it loses none."""
        ...

    def make_room(self) -> None:
        """End it."""
        ...

    def check(self, now: float) -> None:
        """End what took too long, by the loop's clock."""
        ...


class Places:
    """Connections in the order in which they were last of use; the first that idles makes room."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._held: dict[Held, None] = {}
        self._unproven: dict[Held, None] = {}
        self._of_peer: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        return iter(list(self._held))

    def enter(self, connection: Held) -> bool:
        """Give a new connection a place; False when there is none and nobody can make room."""
        if not self._has_room(connection.peer):
            return False
        self._held[connection] = None
        self._unproven[connection] = None
        self._of_peer[connection.peer] += 1
        return True

    def used(self, connection: Held) -> None:
        """A request on it was answered: others make room before it."""
        if connection in self._held:
            self._held[connection] = self._held.pop(connection)
            if connection.proven:
                self._unproven.pop(connection, None)

    def leave(self, connection: Held) -> None:
        """Its place is free; nothing if it has none."""
        if connection not in self._held:
            return
        del self._held[connection]
        self._unproven.pop(connection, None)
        self._of_peer[connection.peer] -= 1
        if not self._of_peer[connection.peer]:
            del self._of_peer[connection.peer]

    def _has_room(self, peer: str) -> bool:
        if peer != LOCAL and self._of_peer[peer] >= self._limits.per_peer:
            own = (one for one in self._held if one.peer == peer)
            if not self._evict(own):
                return False
        if len(self._unproven) >= self._limits.unproven and not self._evict(iter(self._unproven)):
            return False
        return len(self._held) < self._limits.total or self._evict_any()

    def _evict_any(self) -> bool:
        """Who never had an answer first."""
        return self._evict(iter(self._unproven)) or self._evict(iter(self._held))

    def _evict(self, among: Iterator[Held]) -> bool:
        chosen = next((one for one in among if one.idle), None)
        if chosen is None:
            return False
        self.leave(chosen)
        chosen.make_room()
        return True


def peer_of(peername: object) -> str:
    """The address of a peer, as a socket gives it; LOCAL for this machine."""
    if not isinstance(peername, tuple) or not peername:
        return LOCAL
    host = str(peername[0])
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = getattr(address, "ipv4_mapped", None) or address
    return LOCAL if mapped.is_loopback else str(mapped)
