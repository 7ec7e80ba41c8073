"""The proxy that this machine uses already, and the files of authorities that its programs trust."""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

TRUST = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")
"""Variables by which clients find authorities beside, or instead of, those of the machine."""


@dataclass(frozen=True, slots=True)
class MachineProxy:
    """Its URL, and which hosts are reached without it."""

    url: str
    bypass: Callable[[str], bool]


def read(environ: Mapping[str, str] | None = None) -> MachineProxy | None:
    """What HTTPS_PROXY and NO_PROXY say; None where there is no proxy."""
    environ = os.environ if environ is None else environ
    url = environ.get("https_proxy") or environ.get("HTTPS_PROXY")
    if not url:
        return None
    listed = no_proxy(environ)
    return MachineProxy(url, lambda host: any(_names(entry, host) for entry in listed))


def _names(entry: str, host: str) -> bool:
    """Whether an entry of NO_PROXY (a host, a domain, a network, or *) is for a host."""
    if entry == "*":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    domain = entry.lower().lstrip("*").lstrip(".")
    return bool(domain) and (host.lower() == domain or host.lower().endswith(f".{domain}"))


def no_proxy(environ: Mapping[str, str] | None = None) -> list[str]:
    """The hosts that NO_PROXY names now."""
    environ = os.environ if environ is None else environ
    listed = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    return [host.strip() for host in listed.split(",") if host.strip()]


def trusted_files(environ: Mapping[str, str] | None = None) -> list[Path]:
    """Files of authorities in PEM that programs of this machine trust now."""
    environ = os.environ if environ is None else environ
    named = [environ[name] for name in TRUST if environ.get(name)]
    default = ssl.get_default_verify_paths().cafile or str(files("botocore") / "cacert.pem")
    return [path for path in map(Path, [*named, default]) if path.is_file()]
