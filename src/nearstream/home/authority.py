"""The site's certificate authority, made on first start, and the certificates that it issues by host name.

Follows RFC 5280. Name constraints hold the authority to AWS's names and those of this machine: who steals its
key cannot stand between a client and any other host.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nearstream.core.errors import Unusable
from nearstream.home.private import write_private

AWS_DOMAINS: Final = ("amazonaws.com", "amazonaws.com.cn", "amazonaws.eu", "api.aws")
"""Domains under which AWS serves its APIs."""

LIFE: Final = timedelta(days=3650)
RENEWAL: Final = timedelta(days=90)
"""An authority that ends sooner than this is replaced when its site starts."""

LEAF_LIFE: Final = timedelta(days=90)
_BACKDATED: Final = timedelta(days=1)
"""For clients whose clock is behind."""

_NAME: Final = "nearstream site authority"
_LEAF_NAME: Final = "nearstream site"
"""No host name: a client would hold it against the constraints beside the names that count."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its authority's behind it, and its key, in PEM."""

    chain: bytes
    key: bytes


class Authority:
    """Issues certificates for names under AWS's domains, and for this machine's own."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key
        # One key for every certificate of this process: a new one each would protect nothing more.
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())

    @property
    def pem(self) -> bytes:
        """Its certificate, which a client has to trust."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def ends_at(self) -> datetime:
        return self._certificate.not_valid_after_utc

    def allows(self, name: str) -> bool:
        """Whether a certificate for this host name or address would be believed."""
        if _address(name) is not None:
            return True
        return any(
            name == domain or name.endswith(f".{domain}") for domain in _constraints(self._certificate)
        )

    def issue(self, names: Sequence[str], now: datetime | None = None) -> Issued:
        """A certificate for these host names and addresses."""
        now = now or datetime.now(UTC)
        key = self._leaf_key
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            _builder(_named(_LEAF_NAME), self._certificate.subject, key, now, LEAF_LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
            )
            .add_extension(issuer_key, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Issued(certificate.public_bytes(serialization.Encoding.PEM) + self.pem, _private_pem(key))


def open_authority(file: Path, *, own_names: Iterable[str], now: datetime | None = None) -> Authority:
    """The authority in `file`; made at first start, and again shortly before it ends. Raises Unusable.

    `own_names` are names of this machine, which a new authority may vouch for.
    """
    now = now or datetime.now(UTC)
    found = _read(file)
    if found is not None and found.ends_at - now > RENEWAL:
        return found
    made, key = _make(own_names, now)
    write_private(file, _private_pem(key) + made.pem)
    return made


def read_certificate(file: Path) -> bytes | None:
    """The certificate of the authority in `file`, without its key; None where no site was started yet."""
    found = _read(file)
    return None if found is None else found.pem


def _read(file: Path) -> Authority | None:
    try:
        pem = file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unusable(f"The certificate authority in {file} cannot be read: {error.strerror}.") from error
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        key = serialization.load_pem_private_key(pem, password=None)
        whole = isinstance(key, ec.EllipticCurvePrivateKey) and key.public_key() == certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, ssl.SSLError):
        whole = False
    if not whole:
        raise Unusable(
            f"The certificate authority in {file} is damaged: remove the file, start the site again,"
            " and read `nearstream env` again where clients run."
        )
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101 - what `whole` says
    return Authority(certificate, key)


def _make(own_names: Iterable[str], now: datetime) -> tuple[Authority, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _named(_NAME)
    domains = [*AWS_DOMAINS, *sorted({one for one in own_names if _address(one) is None})]
    constraints = x509.NameConstraints([x509.DNSName(domain) for domain in domains], None)
    certificate = (
        _builder(name, name, key, now, LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(constraints, critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key), key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    address = _address(name)
    return x509.DNSName(name) if address is None else x509.IPAddress(address)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _constraints(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return []
    return [each.value for each in found.permitted_subtrees or () if isinstance(each, x509.DNSName)]


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
