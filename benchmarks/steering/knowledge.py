"""What a decider knows of the sites: reports that are as old as the way from there, and what it sent
itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.steering.servers import LEAST_READ, State, exact_ms
from benchmarks.steering.traffic import Request
from benchmarks.steering.world import HARDWARE, Hardware, mesh_rtt_ms
from nearstream.edge.steering.network import direct_ms, relayed_ms
from nearstream.edge.steering.own_sends import OwnSends
from nearstream.edge.steering.views import Ask, CachedPrefix, SiteView

WARM_MS = 60_000


@dataclass(frozen=True, slots=True)
class Report:
    """One site at one moment; `view` is what the product's own functions take."""

    view: SiteView
    in_flight: int
    states: tuple[State, ...]


@dataclass(frozen=True, slots=True)
class Knowledge:
    """All that one decider has for one request, at one moment."""

    sites: Mapping[str, Sequence[Hardware]]
    report: Callable[[str], Report]
    tokens_sent: OwnSends | None
    requests_sent: OwnSends
    now_ms: float
    chance: Callable[[], float]

    def network_ms(self, request: Request, site: str) -> float:
        """The way to that site and back, as far as the decider can measure it."""
        chat, entry = request.conversation, request.entry
        if entry is not None:
            return relayed_ms(mesh_rtt_ms(entry, site))
        recent = self.now_ms - chat.used_at_ms.get(site, -WARM_MS) < WARM_MS
        warm = recent or site == chat.group.by_rtt
        return direct_ms(chat.group.measured_ms[site], body_bytes=request.body_bytes, warm=warm)

    def uncached(self, request: Request, site: str) -> list[int]:
        """By replica: tokens that it would have to read. All are taken to hold the system prompt."""
        chat, report = request.conversation, self.report(site)
        found = [max(LEAST_READ, request.prompt - chat.system_tokens)] * len(report.states)
        read = chat.read_by.get(site)
        if read and self.now_ms - read.at_ms < report.states[read.replica].kept_ms:
            found[read.replica] = max(LEAST_READ, request.prompt - read.tokens)
        return found

    def own_tokens(self, site: str) -> float:
        """Sent by this decider to that site, and not in its report."""
        if self.tokens_sent is None:
            return 0.0
        return self.tokens_sent.unreported([self.report(site).view]).get(site, 0.0)

    def own_requests(self, site: str) -> float:
        """The same, counted in requests."""
        return self.requests_sent.unreported([self.report(site).view]).get(site, 0.0)

    def ask(self, request: Request) -> Ask:
        """The request as the product's own functions take it."""
        chat = request.conversation
        return Ask(
            tokens=request.prompt,
            network_ms={site: self.network_ms(request, site) for site in self.sites},
            cached={
                site: {str(read.replica): (CachedPrefix(read.tokens, read.at_ms),)}
                for site, read in chat.read_by.items()
            },
            shared_tokens=chat.system_tokens,
            entry=request.entry,
            last_site=chat.last_site,
        )

    def exact_score_ms(self, request: Request, site: str) -> float:
        """What somebody with exact knowledge of hardware and state expects there."""
        hardware, uncached = self.sites[site], self.uncached(request, site)
        extra = self.own_tokens(site) / len(hardware)
        return self.network_ms(request, site) + min(
            exact_ms(state, kind, tokens, extra)
            for state, kind, tokens in zip(self.report(site).states, hardware, uncached, strict=True)
        )


def hardware_of(sites: Mapping[str, Sequence[str]]) -> dict[str, list[Hardware]]:
    """By site, the hardware of its replicas."""
    return {site: [HARDWARE[name] for name in names] for site, names in sites.items()}
