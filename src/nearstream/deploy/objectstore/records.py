"""What an object store keeps of buckets, objects and uploads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket; `created_s` in seconds since the epoch."""

    name: str
    created_s: float
    region: str = "us-east-1"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a caller sent with an object: headers to return with it, and the checksums that were verified."""

    headers: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)
    checksum_type: str = "FULL_OBJECT"


@dataclass(frozen=True, slots=True)
class Row:
    """An object in the index. `name` is its file's in the folder of held objects; empty: the key is its path.

    `etag` is empty for a file that came by another way and was not read yet.
    """

    bucket: str
    key: str
    name: str
    size: int
    mtime_ns: int
    etag: str
    facts: Facts = field(default_factory=Facts)

    @property
    def modified_s(self) -> float:
        return self.mtime_ns / 1e9


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold of an object for a write: one of these ETags (`*`: any), or that there is none."""

    is_absent: bool = False
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """An object that is coming in parts; `algorithm` of their checksums in lower case, or empty."""

    id: str
    bucket: str
    key: str
    created_s: float
    facts: Facts
    algorithm: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an upload."""

    number: int
    size: int
    etag: str
    modified_s: float
    checksums: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PartNamed:
    """A part as the caller names it on completion."""

    number: int
    etag: str
    checksums: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listing:
    """Which objects of a bucket to list: keys that begin with `prefix` and follow `after`, `most` at most.

    Keys that have `delimiter` after the prefix are given as what they have in common up to it.
    """

    prefix: str = ""
    delimiter: str = ""
    after: str | None = None
    most: int = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """Objects and common prefixes, each in the order of UTF-8; `last` is the greatest of both."""

    rows: Sequence[Row] = ()
    prefixes: Sequence[str] = ()
    is_truncated: bool = False
    last: str = ""
