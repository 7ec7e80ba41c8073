"""TLS contexts by host name: AWS's names and the site's own; certificates are issued when first asked for."""

from __future__ import annotations

import re
import ssl
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nearstream.core.errors import Unusable
from nearstream.core.ports import Clock
from nearstream.home.authority import AWS_DOMAINS, Authority

PROTOCOLS: Final = ("http/1.1",)
MOST_CONTEXTS: Final = 256
REISSUED_S: Final = 30 * 24 * 3600.0
"""A certificate that was issued longer ago is issued again; it holds three times as long."""

_HOST: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
)


@dataclass(frozen=True, slots=True)
class GivenCertificate:
    """A certificate of the operator's own, as files in PEM: its chain and its key."""

    chain: Path
    key: Path


def is_aws(host: str) -> bool:
    """Whether a host name is one of AWS's APIs: a name below one of its domains."""
    return _HOST.fullmatch(host) is not None and host.endswith(tuple(f".{domain}" for domain in AWS_DOMAINS))


class Certificates:
    """Contexts for connections that this side answers. `clock` is monotonic."""

    def __init__(
        self,
        authority: Authority,
        own_names: Sequence[str],
        *,
        clock: Clock,
        given: GivenCertificate | None = None,
    ) -> None:
        """`own_names` are those of the front door; `given` is shown for them instead of the authority's."""
        self._authority = authority
        self._own_names = tuple(own_names)
        self._clock = clock
        self._given = given
        self._contexts: OrderedDict[tuple[str, ...], tuple[float, ssl.SSLContext]] = OrderedDict()

    def for_aws(self, host: str) -> ssl.SSLContext:
        """For a connection to a host of AWS's; another one in SNI gets its own certificate."""
        return self._entry(self._context((host,)), (host,))

    def for_site(self) -> ssl.SSLContext:
        """For connections to the front door itself. Raises Unusable."""
        if self._given is not None:
            return self._entry(_loaded(self._given), None)
        refused = [name for name in self._own_names if not self._authority.allows(name)]
        if refused:
            raise Unusable(
                f"The site's authority may not vouch for {refused[0]!r}, no name of this machine when it was"
                " made: give a certificate with --tls-cert and --tls-key, or another --host."
            )
        return self._entry(self._context(self._own_names), self._own_names)

    def _entry(self, shown: ssl.SSLContext, names: tuple[str, ...] | None) -> ssl.SSLContext:
        """`shown`, which looks at SNI; its own certificate is for `names`, and renewed."""
        context = _server_context()

        def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            host = (name or "").lower()
            if is_aws(host):
                connection.context = self._context((host,))
            elif names is not None:
                connection.context = self._context(names)
            else:
                # The site's own clients call it by this name, which no certificate of others is for.
                connection.context = self._context((host,)) if host == "localhost" else shown

        context.sni_callback = choose
        return context

    def _context(self, names: tuple[str, ...]) -> ssl.SSLContext:
        now = self._clock()
        found = self._contexts.get(names)
        if found is not None and now - found[0] < REISSUED_S:
            self._contexts.move_to_end(names)
            return found[1]
        context = _server_context()
        issued = self._authority.issue(names)
        # OpenSSL's Python binding takes certificates from files alone; this one is private, and gone at once.
        with tempfile.NamedTemporaryFile(prefix="nearstream-") as file:
            file.write(issued.key + issued.chain)
            file.flush()
            context.load_cert_chain(file.name)
        self._contexts[names] = (now, context)
        while len(self._contexts) > MOST_CONTEXTS:
            self._contexts.popitem(last=False)
        return context


def _loaded(given: GivenCertificate) -> ssl.SSLContext:
    context = _server_context()
    try:
        # A key with a passphrase is refused: nobody is there to type it.
        context.load_cert_chain(given.chain, given.key, password=lambda: b"")
    except OSError as error:
        raise Unusable(
            f"The certificate {given.chain} and the key {given.key} cannot be used: "
            f"{error.strerror or error}. Files in PEM are wanted, the key without a passphrase."
        ) from error
    return context


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(list(PROTOCOLS))
    return context
