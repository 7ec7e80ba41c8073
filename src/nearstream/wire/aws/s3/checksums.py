"""The checksums that a client may send with a body: `Content-MD5` and `x-amz-checksum-…`.

Follows the Amazon S3 User Guide, "Checking object integrity". XXHASH64, XXHASH3 and XXHASH128 are refused by
name: nothing that is installed computes them.
"""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.s3.crc import CRC32, CRC32C, CRC64NVME, Polynomial
from nearstream.wire.aws.s3.errors import not_implemented
from nearstream.wire.aws.s3.request import S3Request

PREFIX: Final = "x-amz-checksum-"
COMPOSITE, FULL_OBJECT = "COMPOSITE", "FULL_OBJECT"

_MD5_BYTES: Final = 16
_NO_CHECKSUMS: Final = frozenset({"x-amz-checksum-type", "x-amz-checksum-mode", "x-amz-checksum-algorithm"})


class Hash(Protocol):
    """What hashlib's objects are."""

    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class _Check:
    """A cyclic redundancy check in the form of a hash."""

    def __init__(self, update: Callable[[bytes, int], int], width: int) -> None:
        self._update = update
        self._bytes = width // 8
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = self._update(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._bytes, "big")


POLYNOMIALS: Final[Mapping[str, Polynomial]] = {
    "crc32": CRC32,
    "crc32c": CRC32C,
    "crc64nvme": CRC64NVME,
}
_MAKERS: Final[Mapping[str, Callable[[], Hash]]] = {
    "crc32": lambda: _Check(zlib.crc32, 32),
    "crc32c": lambda: _Check(CRC32C.update, 32),
    "crc64nvme": lambda: _Check(CRC64NVME.update, 64),
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
    "sha512": hashlib.sha512,
    "md5": lambda: hashlib.md5(usedforsecurity=False),
}
_KNOWN_ELSEWHERE: Final = frozenset({"xxhash64", "xxhash3", "xxhash128"})


def maker(algorithm: str) -> Callable[[], Hash]:
    """What makes a hash of `algorithm`, in lower case. Raises AwsError for one that is not computed."""
    if algorithm in _KNOWN_ELSEWHERE:
        raise not_implemented(
            f"The checksum algorithm {algorithm.upper()} is not implemented here; these are: "
            + ", ".join(name.upper() for name in _MAKERS)
        )
    found = _MAKERS.get(algorithm)
    if found is None:
        message = f"Checksum algorithm provided is unsupported: `{algorithm[:40]}`."
        raise AwsError("InvalidRequest", message)
    return found


def announced(request: S3Request) -> dict[str, str | None]:
    """The checksums to hold a body against; None: the value is in its trailer. Raises AwsError."""
    found: dict[str, str | None] = {
        name.removeprefix(PREFIX): value
        for name, value in request.headers.items()
        if name.startswith(PREFIX) and name not in _NO_CHECKSUMS
    }
    for name in request.headers.get("x-amz-trailer", "").lower().split(","):
        if name.strip().startswith(PREFIX):
            found[name.strip().removeprefix(PREFIX)] = None
    if len(found) > 1:
        message = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        raise AwsError("InvalidRequest", message)
    wanted = request.headers.get("x-amz-sdk-checksum-algorithm", "").lower()
    if wanted and wanted not in found and not (wanted == "md5" and "content-md5" in request.headers):
        raise AwsError(
            "InvalidRequest",
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer"
            " headers were found.",
        )
    return found


def content_md5(request: S3Request) -> bytes | None:
    """The digest in `Content-MD5`. Raises AwsError."""
    text = request.headers.get("content-md5")
    if text is None:
        return None
    try:
        digest = b64decode(text, validate=True)
    except ValueError:
        digest = b""
    if len(digest) != _MD5_BYTES:
        raise AwsError("InvalidDigest", "The Content-MD5 you specified was invalid.")
    return digest


def composite(algorithm: str, values: Sequence[str]) -> str:
    """The checksum of a whole object as the checksum of those of its parts."""
    made = maker(algorithm)()
    for value in values:
        made.update(b64decode(value))
    return f"{b64encode(made.digest()).decode()}-{len(values)}"


def whole(algorithm: str, parts: Sequence[tuple[str, int]]) -> str:
    """The checksum of a whole object from its parts' checksums and sizes; a CRC's alone. Raises AwsError."""
    polynomial = POLYNOMIALS.get(algorithm)
    if polynomial is None:
        message = f"The FULL_OBJECT checksum type cannot be used with the {algorithm} checksum algorithm."
        raise AwsError("InvalidRequest", message)
    value = 0
    for text, size in parts:
        value = polynomial.joined(value, int.from_bytes(b64decode(text), "big"), size)
    return b64encode(value.to_bytes(polynomial.width // 8, "big")).decode()


def text(made: Hash) -> str:
    """A checksum as it is sent."""
    return b64encode(made.digest()).decode()


def is_digest(algorithm: str, value: str) -> bool:
    """Whether `value` has the form of a checksum of `algorithm`."""
    try:
        return len(b64decode(value, validate=True)) == len(maker(algorithm)().digest())
    except ValueError:
        return False
