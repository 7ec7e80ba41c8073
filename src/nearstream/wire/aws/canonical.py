"""Signature Version 4's arithmetic: the canonical request, the string to sign and the signature.

Follows AWS's "Create a signed AWS API request"; where that leaves room it does as botocore's signers do.
Strings that came off the wire may hold surrogates for bytes that are no UTF-8: hashed as those bytes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

ALGORITHM: Final = "AWS4-HMAC-SHA256"
TERMINATOR: Final = "aws4_request"
UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"

_PLAIN_PATH: Final = re.compile(r"/|(/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+/?")
"""Paths that are their own canonical form, which nearly all are."""


def path(raw: str, *, service: str) -> str:
    """The canonical path: S3 signs it as it stands, the rest without dot segments and quoted once more."""
    if service == "s3" or _PLAIN_PATH.fullmatch(raw):
        return raw or "/"
    return quote(_without_dots(raw), safe="/~", errors="surrogateescape")


def _without_dots(raw: str) -> str:
    segments: list[str] = []
    for segment in raw.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    first = "/" if raw.startswith("/") or not raw else ""
    last = "/" if raw.endswith("/") and segments else ""
    return first + "/".join(segments) + last


def query(raw: str, *, leave_out: str = "") -> str:
    """The query's pairs in canonical order, as they were sent; without the parameter `leave_out`."""
    if not raw:
        return ""
    pairs = [pair.partition("=") for pair in raw.split("&")]
    return "&".join(f"{name}={value}" for name, _, value in sorted(pairs) if not name or name != leave_out)


def header_value(raw: str) -> str:
    """A header's value with its runs of blanks made one."""
    return " ".join(raw.split())


def request(
    method: str,
    canonical_path: str,
    canonical_query: str,
    headers: Sequence[tuple[str, str]],
    payload_hash: str,
) -> str:
    """The canonical request; `headers` are the signed ones, lower-case, in their signed order."""
    lines = "".join([f"{name}:{value}\n" for name, value in headers])
    names = ";".join([name for name, _ in headers])
    return f"{method.upper()}\n{canonical_path}\n{canonical_query}\n{lines}\n{names}\n{payload_hash}"


def signing_key(secret_key: str, date: str, region: str, service: str) -> bytes:
    """The key for one day, region and service; worth keeping, since it costs four HMACs."""
    key = f"AWS4{secret_key}".encode()
    for part in (date, region, service, TERMINATOR):
        key = hmac.digest(key, part.encode(errors="surrogateescape"), "sha256")
    return key


def signature(key: bytes, *, timestamp: str, scope: str, canonical_request: str) -> str:
    """The signature in hex; `scope` is date/region/service/terminator."""
    hashed = sha256(canonical_request.encode(errors="surrogateescape"))
    string_to_sign = f"{ALGORITHM}\n{timestamp}\n{scope}\n{hashed}"
    return hmac.digest(key, string_to_sign.encode(errors="surrogateescape"), "sha256").hex()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
