"""Who may call a model server: which pages, by which names, and who may change what it runs."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

import structlog

from nearstream.config.settings import Settings
from nearstream.core.errors import Unusable
from nearstream.home.paths import Home
from nearstream.replica.access import ManagementAccess
from nearstream.wire.browsers import PageRules

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Protection:
    """What a server is protected by."""

    pages: PageRules
    management: ManagementAccess


def protection(
    host: str | None,
    site: Settings,
    *,
    origins: Sequence[str],
    api_key: str | None,
    open_management: bool = False,
) -> Protection:
    """The rules of a server on `host`; None: on a Unix socket alone, which its owner calls.

    Raises Unusable for a management that is open to other machines.
    """
    if host is None:
        return Protection(PageRules(), ManagementAccess())
    if open_management and not is_local(host):
        raise Unusable(
            f"--open-management lets everybody who reaches {host} run code here: it goes with an address "
            "that only this machine reaches, such as 127.0.0.1."
        )
    pages = page_rules(host, (*origins, *site.cors_allow_origins), site.allow_hosts)
    keys = () if open_management else _management_keys(Home(site.home), api_key)
    readable = api_key is not None or is_local(host)
    return Protection(pages, ManagementAccess(keys, open_management, readable, pages))


def page_rules(host: str, origins: Sequence[str], hosts: Sequence[str], *, below: bool = False) -> PageRules:
    """The rules of a server on `host`; `below`: names below its own are its own, too."""
    names = own_names(host)
    if below:
        names = (*names, *(f".{name}" for name in names))
    return PageRules(tuple(dict.fromkeys(origins)), (*names, *hosts))


def own_names(host: str) -> tuple[str, ...]:
    """The names of a server on `host`, beside addresses."""
    machine = socket.gethostname().lower()
    return tuple(dict.fromkeys(("localhost", host.lower(), machine, f"{machine}.local")))


def is_local(host: str) -> bool:
    """Whether nobody but this machine's own users can call a server on `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _management_keys(home: Home, api_key: str | None) -> tuple[str, ...]:
    keys = () if api_key is None else (api_key,)
    try:
        key = home.ensure_management_key()
    except Unusable as error:
        _log.warning("no management key", because=str(error))
        return keys
    _log.info("management needs a key", file=str(home.management_key_file))
    return (*keys, key)
