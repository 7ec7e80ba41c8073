"""The proxy and the authorities that a machine uses already."""

from __future__ import annotations

from pathlib import Path

import pytest

from nearstream.config import proxies


@pytest.mark.parametrize(
    ("entry", "host", "direct"),
    [
        ("*", "pypi.org", True),
        ("pypi.org", "pypi.org", True),
        ("pypi.org", "files.pypi.org", True),
        (".corp.example", "index.corp.example", True),
        ("*.corp.example", "index.corp.example", True),
        ("corp.example", "notcorp.example", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.1", "10.0.0.1", True),
        ("a, PyPI.org ,b", "pypi.ORG", True),
        ("", "pypi.org", False),
        (".", "pypi.org", False),
    ],
)
def test_hosts_that_no_proxy_names_are_reached_directly(entry: str, host: str, direct: bool) -> None:
    found = proxies.read({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": entry})
    assert found is not None and (found.url, found.bypass(host)) == ("http://proxy:3128", direct)


def test_without_a_proxy_there_is_none_and_the_lower_case_name_comes_first() -> None:
    assert proxies.read({"HTTP_PROXY": "http://a:1"}) is None
    found = proxies.read({"HTTPS_PROXY": "http://a:1", "https_proxy": "http://b:1"})
    assert found is not None and found.url == "http://b:1"


def test_the_files_that_clients_trust_are_those_that_are_named_and_the_machines(tmp_path: Path) -> None:
    own = tmp_path / "corp.pem"
    own.write_text("x")
    found = proxies.trusted_files({"AWS_CA_BUNDLE": str(own), "SSL_CERT_FILE": str(tmp_path / "gone.pem")})
    assert found[0] == own and len(found) == 2 and found[1].is_file()
