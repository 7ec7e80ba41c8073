"""The site's certificate authority: made once, private, and believed for few names."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nearstream.core.errors import Unusable
from nearstream.frontdoor.tls import Certificates, GivenCertificate, is_aws
from nearstream.home.authority import LEAF_LIFE, LIFE, Authority, open_authority, read_certificate
from nearstream.home.private import write_private


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return open_authority(tmp_path / "authority.pem", own_names=["localhost", "edge-box"])


def test_a_second_start_keeps_the_authority_and_its_key_is_private(tmp_path: Path) -> None:
    file = tmp_path / "authority.pem"
    made = open_authority(file, own_names=["localhost"])
    assert open_authority(file, own_names=["other"]).pem == made.pem == read_certificate(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["authority.pem"]


def test_an_authority_that_ends_soon_is_made_again(tmp_path: Path) -> None:
    file = tmp_path / "authority.pem"
    made = open_authority(file, own_names=["localhost"])
    later = datetime.now(UTC) + LIFE - timedelta(days=10)
    assert open_authority(file, own_names=["localhost"], now=later).pem != made.pem


@pytest.mark.parametrize(
    "text", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_damaged_authority_says_what_to_do(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "authority.pem"
    write_private(file, text)
    with pytest.raises(Unusable, match="is damaged: remove the file"):
        open_authority(file, own_names=["localhost"])


def test_a_key_of_another_authority_is_damage(tmp_path: Path) -> None:
    one, other = tmp_path / "one.pem", tmp_path / "other.pem"
    open_authority(one, own_names=["localhost"])
    open_authority(other, own_names=["localhost"])
    end = b"-----END PRIVATE KEY-----\n"
    write_private(one, other.read_bytes().split(end)[0] + end + one.read_bytes().split(end)[1])
    with pytest.raises(Unusable, match="is damaged"):
        open_authority(one, own_names=["localhost"])


def test_a_certificate_outlives_none_of_its_contexts() -> None:
    assert timedelta(days=30) * 3 <= LEAF_LIFE


@pytest.mark.parametrize(
    "name",
    [
        "sts.us-east-1.amazonaws.com",
        "my-bucket.s3.amazonaws.com",
        "localhost",
        "edge-box",
        "127.0.0.1",
        "::1",
    ],
)
async def test_a_client_that_trusts_the_authority_believes_its_names(authority: Authority, name: str) -> None:
    assert authority.allows(name)
    assert await shakes_hands(authority, name) == "http/1.1"


@pytest.mark.parametrize("name", ["example.com", "amazonaws.com.example.com", "bank.example"])
async def test_no_client_believes_the_authority_about_other_hosts(authority: Authority, name: str) -> None:
    assert not authority.allows(name)
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        await shakes_hands(authority, name)


async def shakes_hands(authority: Authority, name: str) -> str | None:
    """The protocol that a strict client agreed on with a server of that name."""
    trust = ssl.create_default_context(cadata=authority.pem.decode())
    trust.verify_flags |= ssl.VERIFY_X509_STRICT
    trust.set_alpn_protocols(["h2", "http/1.1"])
    context = Certificates(authority, [name], clock=lambda: 0.0)._context((name,))
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname=name)
        spoken = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        writer.close()
        return spoken


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("sts.amazonaws.com", True),
        ("sagemaker.cn-north-1.amazonaws.com.cn", True),
        ("amazonaws.com", False),
        ("evilamazonaws.com", False),
        ("amazonaws.com.evil.org", False),
        ("a..amazonaws.com", False),
        ("-a.amazonaws.com", False),
        ("a_b.amazonaws.com", False),
        ("a\x00.amazonaws.com", False),
        ("", False),
    ],
)
def test_only_names_below_awss_domains_are_awss(host: str, expected: bool) -> None:
    assert is_aws(host) is expected


def test_the_contexts_that_are_kept_have_a_bound(authority: Authority) -> None:
    now = 0.0
    certificates = Certificates(authority, ["localhost"], clock=lambda: now)
    first = certificates._context(("a.amazonaws.com",))
    assert certificates._context(("a.amazonaws.com",)) is first
    now = 31 * 24 * 3600.0
    assert certificates._context(("a.amazonaws.com",)) is not first
    for number in range(300):
        certificates._context((f"h{number}.amazonaws.com",))
    assert len(certificates._contexts) == 256


def test_a_name_that_the_authority_may_not_vouch_for_is_refused_at_the_start(authority: Authority) -> None:
    with pytest.raises(Unusable, match=r"'chat.example.com', no name of this machine"):
        Certificates(authority, ["localhost", "chat.example.com"], clock=lambda: 0.0).for_site()


def test_a_given_certificate_that_cannot_be_used_is_named(authority: Authority, tmp_path: Path) -> None:
    given = GivenCertificate(tmp_path / "none.pem", tmp_path / "none.key")
    with pytest.raises(Unusable, match=r"none\.pem and the key .* cannot be used: No such file"):
        Certificates(authority, ["localhost"], clock=lambda: 0.0, given=given).for_site()
