"""A signed request before its signature is verified, read from its Authorization header or its query."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import parse_qsl, unquote

from nearstream.wire.aws import canonical
from nearstream.wire.aws.errors import AwsError

_SCOPE_PARTS: Final = 5
_SHORTEST_SCOPE: Final = 3
"""Of a scope for all regions (SigV4A): key, date, service, terminator."""

_CREDENTIAL: Final = re.compile(r"Credential=([^\s,]{1,512})")
_CREDENTIAL_IN_QUERY: Final = re.compile(r"X-Amz-Credential=([^&]{1,1024})")


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request as it came off the wire: `path` and `query` still percent-encoded, header pairs in order.

    `body` None means that it is not read yet: then x-amz-content-sha256 says what is signed.
    """

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes | None

    def header(self, name: str) -> str:
        """The header of that lower-case name; empty when there is none."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    def with_body(self, body: bytes) -> RawRequest:
        return replace(self, body=body)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """Credential scope, signed headers and signature of a request; nothing of it is verified yet."""

    access_key: str
    date: str
    region: str
    service: str
    terminator: str
    signed_headers: tuple[str, ...]
    signature: str = field(repr=False)
    timestamp: str
    session_token: str | None = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    """All headers by lower-case name, values in canonical form."""
    expires_s: int | None = None
    """How long a presigned URL holds; None for a signed header."""

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/{self.terminator}"


def read(request: RawRequest) -> SignedRequest:
    """Raises AwsError MissingAuthenticationTokenException or IncompleteSignatureException."""
    headers: dict[str, str] = {}
    repeated: set[str] = set()
    for name, value in request.headers:
        lower = name.lower()
        if lower in headers:
            repeated.add(lower)
        headers[lower] = canonical.header_value(value)
    if "authorization" in repeated:
        raise _incomplete("The Authorization header was sent more than once.")
    if "authorization" in headers:
        claim = _from_header(headers)
    elif "X-Amz-Signature=" in request.query:
        claim = _from_query(request.query, headers)
    else:
        raise AwsError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
    _check_headers(claim, repeated)
    return claim


def signing_name(request: RawRequest) -> str:
    """The service in the credential scope that a request names; empty where it names none."""
    authorization = request.header("authorization")
    found = _CREDENTIAL.search(authorization) or _CREDENTIAL_IN_QUERY.search(request.query)
    scope = unquote(found[1]).split("/") if found else []
    return scope[-2] if len(scope) > _SHORTEST_SCOPE else ""


def _from_header(headers: Mapping[str, str]) -> SignedRequest:
    authorization = headers["authorization"]
    algorithm, _, rest = authorization.partition(" ")
    if algorithm != canonical.ALGORITHM:
        raise _incomplete(
            f"Authorization must begin with {canonical.ALGORITHM}, and begins with {algorithm[:40]}."
        )
    given = {}
    for part in rest.split(","):
        name, _, value = part.strip().partition("=")
        given[name] = value
    missing = [f"Authorization header requires '{name}' parameter." for name in _absent(_IN_HEADER, given)]
    if "x-amz-date" not in headers:
        missing.append("Authorization header requires existence of a 'X-Amz-Date' header.")
    if missing:
        raise _incomplete(" ".join(missing))
    return _signed_request(
        given, timestamp=headers["x-amz-date"], token=headers.get("x-amz-security-token"), headers=headers
    )


def _from_query(query: str, headers: Mapping[str, str]) -> SignedRequest:
    pairs = parse_qsl(query, keep_blank_values=True, errors="surrogateescape")
    given = {name.removeprefix("X-Amz-"): value for name, value in pairs if name.startswith("X-Amz-")}
    if len(given) != sum(name.startswith("X-Amz-") for name, _ in pairs):
        raise _incomplete("A query parameter of the signature was given more than once.")
    missing = [
        f"AWS query-string parameters must include 'X-Amz-{name}'." for name in _absent(_IN_QUERY, given)
    ]
    if missing:
        raise _incomplete(" ".join(missing))
    if given["Algorithm"] != canonical.ALGORITHM or not _is_expiry(given["Expires"]):
        raise _incomplete("X-Amz-Algorithm or X-Amz-Expires is not valid.")
    return _signed_request(
        given,
        timestamp=given["Date"],
        token=given.get("Security-Token"),
        headers=headers,
        expires_s=int(given["Expires"]),
    )


_IN_HEADER: Final = ("Credential", "Signature", "SignedHeaders")
_IN_QUERY: Final = (*_IN_HEADER, "Algorithm", "Date", "Expires")
_LONGEST_EXPIRY_S: Final = 7 * 24 * 3600


def _absent(names: Iterable[str], given: Mapping[str, str]) -> list[str]:
    return [name for name in names if not given.get(name)]


def _is_expiry(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 8 and int(text) <= _LONGEST_EXPIRY_S  # noqa: PLR2004


def _signed_request(
    given: Mapping[str, str],
    *,
    timestamp: str,
    token: str | None,
    headers: Mapping[str, str],
    expires_s: int | None = None,
) -> SignedRequest:
    parts = given["Credential"].split("/")
    if len(parts) != _SCOPE_PARTS:
        raise _incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term,"
            f" got '{given['Credential'][:200]}'"
        )
    access_key, date, region, service, terminator = parts
    return SignedRequest(
        access_key=access_key,
        date=date,
        region=region,
        service=service,
        terminator=terminator,
        signed_headers=tuple(given["SignedHeaders"].split(";")),
        signature=given["Signature"],
        timestamp=timestamp,
        session_token=token,
        headers=headers,
        expires_s=expires_s,
    )


def _check_headers(claim: SignedRequest, repeated: set[str]) -> None:
    signed = claim.signed_headers
    if "host" not in signed:
        raise _incomplete("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    if "x-amz-target" in claim.headers and "x-amz-target" not in signed:
        raise _incomplete("'x-amz-target' must be a 'SignedHeader' in the AWS Authorization.")
    for name in signed:
        if name not in claim.headers:
            raise _incomplete(f"'{name}' is a 'SignedHeader' that the request does not have.")
        if name in repeated:
            raise _incomplete(f"'{name}' is a 'SignedHeader' that the request has more than once.")


def _incomplete(message: str) -> AwsError:
    return AwsError("IncompleteSignatureException", message, 400)
