"""The bundle of authorities that clients of a site trust."""

from __future__ import annotations

from pathlib import Path

import pytest

from nearstream.core.errors import Unusable
from nearstream.home.trust import write_bundle


def block(name: str) -> bytes:
    return f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----".encode()


def test_a_bundle_holds_each_certificate_once_and_nothing_else(tmp_path: Path) -> None:
    file, machine = tmp_path / "bundle.pem", tmp_path / "machine.pem"
    key = b"-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n"
    machine.write_bytes(b"# comment\n" + block("one") + b"\n" + key + block("two"))
    for _ in range(2):  # the second time the bundle itself is among the files
        write_bundle(file, key + block("site"), [machine, file])
        assert file.read_bytes() == b"".join(block(name) + b"\n" for name in ("site", "one", "two"))
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"gone\.pem cannot be read"):
        write_bundle(tmp_path / "bundle.pem", block("site"), [tmp_path / "gone.pem"])
