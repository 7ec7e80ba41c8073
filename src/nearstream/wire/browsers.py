"""Which calls of browsers a server takes, and the CORS headers of its answers.

The Fetch standard: Origin, the CORS protocol and its preflight. W3C Fetch Metadata: Sec-Fetch-Site.
RFC 9110: Host.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

ANY: Final = "*"
MAX_AGE_S: Final = 7200
# What a page may read of an answer beside its body and its media type.
EXPOSED: Final = (
    "x-request-id", "x-compute-type", "x-compute-time", "x-compute-characters", "x-total-time",
    "x-validation-time", "x-queue-time", "x-inference-time", "x-time-per-token", "x-prompt-tokens",
    "x-generated-tokens", "retry-after", "x-amzn-requestid", "x-amzn-errortype",
    "x-amzn-invoked-production-variant", "x-amzn-sagemaker-content-type",
    "x-amzn-sagemaker-custom-attributes", "x-amzn-sagemaker-session-id", "x-amzn-sagemaker-new-session-id",
    "x-amzn-sagemaker-closed-session-id", "x-amz-request-id", "etag", "content-range", "content-length",
)  # fmt: skip
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_AUTHORITY: Final = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:/?#@\s]+)(?::([0-9]{1,5}))?", re.ASCII)
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}", re.ASCII)
_TOKENS: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z, -]{1,4096}", re.ASCII)
_OWN_SITES: Final = frozenset({"same-origin", "none"})
_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class PageRules:
    """`origins` are those whose pages may call; "*" stands for any page.

    `hosts` are the names that the server may be called by beside addresses and names without a dot, which
    nobody can register: one that begins with a dot stands for every name below it, "*" for any name. A page
    that makes its own name point at this machine (DNS rebinding) comes with that name.
    """

    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()

    def refusal(self, headers: Iterable[tuple[str, str]]) -> str | None:
        """Why a call is not taken; None: it is, whether of a page or of another program."""
        found = _Source(headers)
        if found.host is not None and not self._is_called(found.host):
            return (
                f"the host {found.host[:_SHOWN]!r} is not a name of this server: call it by its address, "
                "or start it with --allow-host and that name"
            )
        if found.origin is not None:
            if found.is_own_page or ANY in self.origins or found.origin in self.origins:
                return None
            return (
                f"pages of the origin {found.origin[:_SHOWN]!r} may not call this server: start it with "
                "--cors-allow-origin and that origin"
            )
        if found.site is not None and found.site not in _OWN_SITES and ANY not in self.origins:
            return "a page of another origin may not call this server: start it with --cors-allow-origin"
        return None

    def managing_refusal(self, headers: Iterable[tuple[str, str]]) -> str | None:
        """Why a page may not change what the server runs: it is neither its own nor of a named origin."""
        found = _Source(headers)
        if found.origin is None:
            foreign = found.site is not None and found.site not in _OWN_SITES
        else:
            foreign = not found.is_own_page and found.origin not in self.origins
        return (
            "a page may manage this server only where --cors-allow-origin names its origin"
            if foreign
            else None
        )

    def cors(self, origin: str | None) -> dict[str, str]:
        """The headers of every answer, errors too, to a page of `origin` or to another program."""
        if ANY in self.origins:
            shared = {"Access-Control-Allow-Origin": ANY}
        elif not self.origins:
            return {}
        elif origin is None or origin not in self.origins:
            return {"Vary": "Origin"}
        else:
            shared = {
                "Access-Control-Allow-Origin": origin,
                "Access-Control-Allow-Credentials": "true",
                "Vary": "Origin",
            }
        return {**shared, "Access-Control-Expose-Headers": ", ".join(EXPOSED)}

    def preflight(self, headers: Iterable[tuple[str, str]]) -> dict[str, str]:
        """The headers of the answer to OPTIONS beside those of `cors`: method and headers as asked for."""
        asked = {name.lower(): value for name, value in headers}
        method = asked.get("access-control-request-method", "")
        wanted = asked.get("access-control-request-headers", "")
        found = {
            "Access-Control-Allow-Methods": method if _TOKEN.fullmatch(method) else "GET, POST",
            "Access-Control-Allow-Headers": wanted
            if _TOKENS.fullmatch(wanted)
            else "authorization, content-type",
            "Access-Control-Max-Age": str(MAX_AGE_S),
        }
        if asked.get("access-control-request-private-network") == "true":
            found["Access-Control-Allow-Private-Network"] = "true"
        return found

    def _is_called(self, host: str) -> bool:
        """Whether `host`, a Host header, may be this server."""
        match = _AUTHORITY.fullmatch(host.lower())
        if match is None:
            return False
        name = match[1].rstrip(".")
        if (
            _is_address(name)
            or (name and "." not in name)
            or name.endswith(".localhost")
            or ANY in self.hosts
        ):
            return True
        return any(
            name == each.lower() or (each.startswith(".") and name.endswith(each.lower()))
            for each in self.hosts
        )


class _Source:
    """Where a call says that it comes from; a header that comes twice has a value that fits nothing."""

    def __init__(self, headers: Iterable[tuple[str, str]]) -> None:
        found: dict[str, str] = {}
        for name, value in headers:
            if (key := name.lower()) in ("host", "origin", "sec-fetch-site"):
                found[key] = f"{found[key]}, {value}" if key in found else value.strip()
        self.host: str | None = found.get("host")
        self.origin: str | None = found.get("origin")
        self.site: str | None = found.get("sec-fetch-site")

    @property
    def is_own_page(self) -> bool:
        """Whether the page came from the server that it calls; a proxy before it may have added TLS."""
        scheme, _, authority = (self.origin or "").partition("://")
        default = _DEFAULT_PORTS.get(scheme)
        if default is None or self.host is None:
            return False
        page, server = (_AUTHORITY.fullmatch(each.lower()) for each in (authority, self.host))
        if page is None or server is None:
            return False
        return (page[1], page[2] or default) == (server[1], server[2] or default)


def _is_address(name: str) -> bool:
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
