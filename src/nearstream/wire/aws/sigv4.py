"""Verifies Signature Version 4 on the server's side, header form and presigned query form.

Follows AWS's "Signature Version 4 for API requests", with the messages that AWS gives. Secrets and
signatures never reach a message.
"""

from __future__ import annotations

import hmac
import re
from datetime import UTC, datetime
from typing import Final

from nearstream.wire.aws import canonical, signed_request
from nearstream.wire.aws.credentials import Credential, Lookup, Principal
from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.signed_request import RawRequest, SignedRequest

SKEW_S: Final = 15 * 60
"""How far a client's clock may be from ours."""

_TIMESTAMP: Final = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_KEYS_KEPT: Final = 256
_MISMATCH: Final = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret"
    " Access Key and signing method. Consult the service documentation for details."
)


class Verifier:
    """Proves who sent a request. Keeps derived signing keys, so that a verification costs two HMACs.

    `region` and `services`, where given, are the only ones that a credential scope may name; a service that
    is the same in all regions (`everywhere`) may be scoped to any.
    """

    def __init__(
        self,
        lookup: Lookup,
        *,
        region: str | None = None,
        services: frozenset[str] | None = None,
        everywhere: frozenset[str] = frozenset(),
    ) -> None:
        self._lookup = lookup
        self._region = region
        self._services = services
        self._everywhere = everywhere
        self._keys: dict[tuple[str, str, str, str], tuple[str, bytes]] = {}

    def verify(self, request: RawRequest, *, now: float) -> Principal:
        """The caller. Raises AwsError; `now` is in seconds since the epoch."""
        signed = self.check(request, now=now)
        body = request.body
        return self.prove(signed, request, None if body is None else canonical.sha256(body))

    def check(self, request: RawRequest, *, now: float) -> SignedRequest:
        """Check key, scope and date, which the headers alone tell. Raises AwsError."""
        signed = signed_request.read(request)
        self._check_credential(signed, now)
        self._check_scope(signed)
        _check_time(signed, now)
        return signed

    def prove(self, signed: SignedRequest, request: RawRequest, body_sha256: str | None) -> Principal:
        """The caller of a request that `check` let pass. Raises AwsError.

        `body_sha256` None: the body is not read yet, and x-amz-content-sha256 says what is signed.
        """
        credential = self._held(signed)
        canonical_request = canonical.request(
            request.method,
            canonical.path(request.path, service=signed.service),
            canonical.query(
                request.query, leave_out="X-Amz-Signature" if signed.expires_s is not None else ""
            ),
            [(name, signed.headers[name]) for name in signed.signed_headers],
            _payload_hash(signed, body_sha256),
        )
        self._check_signature(signed, credential, canonical_request)
        return Principal(
            credential.access_key, credential.account, credential.arn, signed.region, signed.service
        )

    def known(self, request: RawRequest) -> Credential:
        """The credential that a request names, proven or not. Raises AwsError."""
        return self._held(signed_request.read(request))

    def _held(self, signed: SignedRequest) -> Credential:
        credential = self._lookup(signed.access_key)
        if credential is None:
            raise AwsError("UnrecognizedClientException", "The access key was removed meanwhile.", 403)
        return credential

    def _check_credential(self, signed: SignedRequest, now: float) -> None:
        credential = self._lookup(signed.access_key)
        if credential is None or not _same(credential.session_token or "", signed.session_token or ""):
            raise AwsError(
                "UnrecognizedClientException", "The security token included in the request is invalid.", 403
            )
        if credential.expires_at is not None and credential.expires_at <= now:
            raise AwsError(
                "ExpiredTokenException", "The security token included in the request is expired", 403
            )

    def _check_scope(self, signed: SignedRequest) -> None:
        problems = []
        if signed.service not in self._everywhere and signed.region != (self._region or signed.region):
            problems.append(f"Credential should be scoped to a valid region, not '{signed.region}'.")
        if self._services is not None and signed.service not in self._services:
            expected = ", ".join(f"'{name}'" for name in sorted(self._services))
            problems.append(f"Credential should be scoped to correct service: {expected}.")
        if signed.terminator != canonical.TERMINATOR:
            problems.append(
                f"Credential should be scoped with a valid terminator: '{canonical.TERMINATOR}',"
                f" not '{signed.terminator}'."
            )
        if not signed.timestamp.startswith(signed.date):
            problems.append(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP:"
                f" '{signed.date}' != '{signed.timestamp[:8]}', from '{signed.timestamp[:40]}'."
            )
        if problems:
            raise _invalid(" ".join(problems))

    def _check_signature(self, signed: SignedRequest, credential: Credential, canonical_request: str) -> None:
        id_ = (signed.access_key, signed.date, signed.region, signed.service)
        secret, key = self._keys.get(id_, ("", b""))
        known = secret == credential.secret_key
        if not known:
            key = canonical.signing_key(credential.secret_key, *id_[1:])
        expected = canonical.signature(
            key, timestamp=signed.timestamp, scope=signed.scope, canonical_request=canonical_request
        )
        if not _same(expected, signed.signature):
            raise _invalid(_MISMATCH)
        if not known:  # kept only once proven, so that strangers cannot fill the table
            while len(self._keys) >= _KEYS_KEPT:
                del self._keys[next(iter(self._keys))]
            self._keys[id_] = (credential.secret_key, key)


def _check_time(signed: SignedRequest, now: float) -> None:
    signed_at = _parse_time(signed.timestamp)
    if signed_at > now + SKEW_S:
        raise _invalid(
            f"Signature not yet current: {signed.timestamp} is still later than"
            f" {_format_time(now + SKEW_S)} ({_format_time(now)} + {SKEW_S // 60} min.)"
        )
    window_s = SKEW_S if signed.expires_s is None else signed.expires_s
    if signed_at < now - window_s:
        raise _invalid(
            f"Signature expired: {signed.timestamp} is now earlier than"
            f" {_format_time(now - window_s)} ({_format_time(now)} - {window_s // 60} min.)"
        )


def _parse_time(timestamp: str) -> float:
    if _TIMESTAMP.fullmatch(timestamp):
        try:
            return datetime.fromisoformat(timestamp).timestamp()
        except ValueError:
            pass
    raise AwsError(
        "IncompleteSignatureException",
        f"Date must be in ISO-8601 'basic format'. Got '{timestamp[:40]}'."
        " See http://en.wikipedia.org/wiki/ISO_8601",
    )


def _format_time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")


def _payload_hash(signed: SignedRequest, body_sha256: str | None) -> str:
    """The canonical request's hash of the body; a hash that the client sent must be the body's."""
    declared = signed.headers.get("x-amz-content-sha256")
    if declared is None and signed.expires_s is not None and signed.service == "s3":
        return canonical.UNSIGNED_PAYLOAD
    if body_sha256 is None:
        if declared is None:
            raise _invalid("A streamed body needs the header 'x-amz-content-sha256'.")
        return declared
    if declared is not None and not _SHA256.fullmatch(declared):
        return declared  # UNSIGNED-PAYLOAD and the STREAMING- kinds: signed as the words they are
    if declared is not None and not _same(body_sha256, declared):
        if signed.service == "s3":
            message = "The provided 'x-amz-content-sha256' header does not match what was computed."
            raise AwsError("XAmzContentSHA256Mismatch", message, 400)
        raise _invalid(_MISMATCH)
    return body_sha256


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(
        expected.encode(errors="surrogateescape"), given.encode(errors="surrogateescape")
    )


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidSignatureException", message, 403)
