"""Builds the way into a site: its TLS, its certificates, and the proxy on its port."""

from __future__ import annotations

import ipaddress
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

import structlog

from nearstream.config import proxies
from nearstream.config.settings import Settings
from nearstream.core.accounts import partition
from nearstream.core.errors import Invalid, Unusable
from nearstream.frontdoor.connect import Proxy
from nearstream.frontdoor.listener import Entrance
from nearstream.frontdoor.tls import Certificates, GivenCertificate
from nearstream.frontdoor.tunnels import Route, parent_proxy
from nearstream.home.authority import AWS_DOMAINS, open_authority
from nearstream.home.paths import Home
from nearstream.home.trust import write_bundle

AWS_HOSTS: Final = tuple(f".{domain}" for domain in AWS_DOMAINS)
"""Names that a front door may be called by: those that its proxy answers for."""

LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1")
_NAME: Final = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*")

log = structlog.get_logger()


@asynccontextmanager
async def entrance(settings: Settings, home: Home) -> AsyncIterator[Entrance]:
    """How connections to a site begin, while the block runs. Raises Unusable for a certificate."""
    machine = socket.gethostname().lower()
    named = {"localhost", machine, settings.host.lower()}
    names = {name for name in named if _NAME.fullmatch(name) and not _is_address(name)}
    authority = open_authority(home.authority_file, own_names=names)
    write_bundle(home.bundle_file, authority.pem, proxies.trusted_files())
    own = [*LOCAL_NAMES, *([] if _is_wildcard(settings.host) else [settings.host.lower()])]
    if machine in names and authority.allows(machine):
        own.append(machine)
    given = None
    if settings.tls_cert is not None and settings.tls_key is not None:
        given = GivenCertificate(settings.tls_cert, settings.tls_key)
    certificates = Certificates(authority, list(dict.fromkeys(own)), clock=time.monotonic, given=given)
    proxy = Proxy(certificates, _route(settings), ports=settings.proxy_ports)
    async with proxy.running():
        yield Entrance(None, certificates.for_site() if settings.tls else None, proxy.entrance)


def _route(settings: Settings) -> Route:
    """Through the proxy that this machine uses, unless that is this site itself."""
    machine = proxies.read()
    if machine is None or _is_this_site(machine.url, settings):
        return Route()
    try:
        return Route(parent_proxy(machine.url), machine.bypass)
    except Invalid as error:
        raise Unusable(f"HTTPS_PROXY cannot be used: {error}.") from error


def _is_this_site(url: str, settings: Settings) -> bool:
    with suppress(ValueError):
        parts = urlsplit(url if "://" in url else f"http://{url}")
        return parts.port == settings.port and parts.hostname in {*LOCAL_NAMES, settings.host.lower()}
    return False


def s3_names(host: str, region: str) -> frozenset[str]:
    """The names under which buckets are addressed as `bucket.name`, AWS's among them."""
    domain = "amazonaws.com.cn" if partition(region) == "aws-cn" else "amazonaws.com"
    aws = (
        f"s3.{domain}",
        f"s3.{region}.{domain}",
        f"s3-{region}.{domain}",
        f"s3.dualstack.{region}.{domain}",
    )
    return frozenset({"localhost", host, socket.gethostname().lower(), *aws})


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_wildcard(host: str) -> bool:
    return not host or (_is_address(host) and ipaddress.ip_address(host).is_unspecified)
