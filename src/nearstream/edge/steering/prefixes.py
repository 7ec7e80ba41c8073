"""Which replica has read the beginning of a body before, found without parsing it.

A body is cut into blocks of 512 bytes; each block's key is the blake2b (RFC 7693, 8 bytes) of the key
before it and the block, so that a key stands for all bytes up to there. Chat bodies send the history first,
so that a conversation's next body shares its beginning with the last one. Tokens are bytes times a ratio
that each endpoint learns.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nearstream.edge.steering.views import CachedPrefix

BLOCK_BYTES = 512
MOST_KEYS = 200_000
_MOST_BLOCKS = 1024
_MOST_HOLDERS = 8
_SHARED_BY = 3

Holder = tuple[str, str]
"""A site and a replica of it."""


def chain(body: bytes) -> tuple[bytes, ...]:
    """The keys of a body's whole blocks, of the first half megabyte at most."""
    keys, key = [], b""
    for start in range(0, min(len(body) // BLOCK_BYTES, _MOST_BLOCKS) * BLOCK_BYTES, BLOCK_BYTES):
        key = hashlib.blake2b(key + body[start : start + BLOCK_BYTES], digest_size=8).digest()
        keys.append(key)
    return tuple(keys)


@dataclass(frozen=True, slots=True)
class Prefixes:
    """What is remembered of a body: by site and replica the prefixes it read, longest first, and what
    several replicas read.
    """

    cached: Mapping[str, Mapping[str, tuple[CachedPrefix, ...]]]
    shared_tokens: float


@dataclass(slots=True)
class PrefixMemory:
    """Who read which prefix last; the least recently used keys are forgotten beyond `most_keys`."""

    most_keys: int = MOST_KEYS
    _holders: OrderedDict[bytes, dict[Holder, float]] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._holders)

    def remember(self, keys: Sequence[bytes], holder: Holder, *, now_ms: float) -> None:
        """A replica was given the body that has these keys."""
        # From the last to the first: the beginnings, which more bodies share, are forgotten last.
        for key in reversed(keys):
            holders = self._holders.setdefault(key, {})
            holders.pop(holder, None)
            holders[holder] = now_ms
            if len(holders) > _MOST_HOLDERS:
                del holders[next(iter(holders))]
            self._holders.move_to_end(key)
        while len(self._holders) > self.most_keys:
            self._holders.popitem(last=False)

    def forget(self, holder: Holder) -> None:
        """A replica has lost its cache."""
        for holders in self._holders.values():
            holders.pop(holder, None)

    def find(self, keys: Sequence[bytes], *, tokens_per_byte: float) -> Prefixes:
        """Prefixes of the body that has these keys. Where a shorter one was read later, it is given too."""
        cached: dict[str, dict[str, list[CachedPrefix]]] = {}
        shared = 0
        for place, key in enumerate(keys, start=1):
            holders = self._holders.get(key)
            if not holders:
                break
            if len(holders) >= _SHARED_BY:
                shared = place
            for (site, replica), at_ms in holders.items():
                found = cached.setdefault(site, {}).setdefault(replica, [])
                # What was read as late as this and is shorter adds nothing.
                while found and found[-1].at_ms <= at_ms:
                    found.pop()
                found.append(CachedPrefix(place * BLOCK_BYTES * tokens_per_byte, at_ms))
        by_site = {
            site: {replica: tuple(reversed(found)) for replica, found in replicas.items()}
            for site, replicas in cached.items()
        }
        return Prefixes(by_site, shared * BLOCK_BYTES * tokens_per_byte)


@dataclass(slots=True)
class TokenRatio:
    """Tokens in a byte of an endpoint's bodies, as a mean that forgets: 1 in 4 until it has seen one."""

    _tokens: float = 0.0
    _bytes: float = 0.0

    def observe(self, body_bytes: int, tokens: int) -> None:
        """One request: its body's size, and how many tokens its prompt had."""
        self._tokens = 0.99 * self._tokens + tokens
        self._bytes = 0.99 * self._bytes + body_bytes

    @property
    def tokens_per_byte(self) -> float:
        """The learned ratio."""
        return self._tokens / self._bytes if self._bytes else 0.25
