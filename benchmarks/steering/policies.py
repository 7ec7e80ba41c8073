"""The policies that are compared: the product's own, and those that an operator could use instead.

Each takes a request and what its decider knows, and gives a site. `relay`: the user's entry decides and
relays. Otherwise the user goes to the site directly: by a name in DNS, or by a client that decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import mean

from benchmarks.steering.knowledge import Knowledge
from benchmarks.steering.traffic import Request
from benchmarks.steering.world import REGION, mesh_rtt_ms
from nearstream.edge.steering.choice import choose, second_look
from nearstream.edge.steering.own_sends import OwnSends


@dataclass(frozen=True, slots=True)
class Choice:
    """A site, and what the policy predicts there if it predicts."""

    site: str
    predicted_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """One row of the table."""

    choose: Callable[[Request, Knowledge], Choice]
    relay: bool = True
    fresh: bool = False
    """Its reports have no age."""
    hand_on: Callable[[Request, Knowledge], str | None] | None = None
    client: bool = False
    """The user's own client decides, on reports up to a second old, and connects where it has to."""
    entry_by_place: bool = False


def by_place(request: Request, knowledge: Knowledge) -> Choice:
    """The site that is nearest on the map."""
    return Choice(request.conversation.group.by_place)


def by_rtt(request: Request, knowledge: Knowledge) -> Choice:
    """The site with the least measured round trip."""
    return Choice(request.conversation.group.by_rtt)


def latency_record(request: Request, knowledge: Knowledge) -> Choice:
    """Route 53's latency records name regions alone, so that everybody goes to the region."""
    return Choice(REGION)


def round_robin() -> Callable[[Request, Knowledge], Choice]:
    """Each replica in turn."""
    turn = 0

    def following(request: Request, knowledge: Knowledge) -> Choice:
        nonlocal turn
        turn += 1
        slots = [site for site, hardware in knowledge.sites.items() for _ in hardware]
        return Choice(slots[turn % len(slots)])

    return following


def least_load(request: Request, knowledge: Knowledge) -> Choice:
    """The fewest requests in flight for each replica; chance among equals."""

    def load(site: str) -> float:
        return (knowledge.report(site).in_flight + knowledge.own_requests(site)) / len(knowledge.sites[site])

    return Choice(min(knowledge.sites, key=lambda site: (load(site), knowledge.chance())))


def prefix_only(request: Request, knowledge: Knowledge) -> Choice:
    """The site that read the most of this conversation; else the least loaded one."""
    read = {site: one.tokens for site, one in request.conversation.read_by.items()}
    return Choice(max(read, key=lambda site: (read[site], site))) if read else least_load(request, knowledge)


def local_first(request: Request, knowledge: Knowledge) -> Choice:
    """As SkyWalker: the entry while it has room; then the site with room that read most, then the nearest
    with room.
    """

    def has_room(site: str) -> bool:
        return any(
            not state.waiting
            and state.running < kind.slots
            and state.pending_tokens < 1.5 * kind.budget_tokens
            for state, kind in zip(knowledge.report(site).states, knowledge.sites[site], strict=True)
        )

    def read_tokens(site: str) -> int:
        read = request.conversation.read_by.get(site)
        return min(read.tokens, request.prompt) if read else 0

    entry = request.entry or REGION
    room = [site for site in knowledge.sites if has_room(site)]
    if entry in room or not room:
        return Choice(entry)
    return Choice(max(room, key=lambda site: (read_tokens(site), -mesh_rtt_ms(entry, site))))


def global_rate(request: Request, knowledge: Knowledge, *, running_weight: float) -> Choice:
    """As GORGO: round trip, queue and uncached tokens, at one rate for all sites."""
    rate = mean(kind.token_ms for hardware in knowledge.sites.values() for kind in hardware)

    def cost(site: str) -> float:
        states = knowledge.report(site).states
        extra = knowledge.own_tokens(site) / len(states)
        return knowledge.network_ms(request, site) + min(
            rate * (state.pending_tokens + extra + tokens) + running_weight * rate * state.running * 900
            for state, tokens in zip(states, knowledge.uncached(request, site), strict=True)
        )

    return Choice(min(knowledge.sites, key=cost))


def exact(request: Request, knowledge: Knowledge) -> Choice:
    """The least first token by exact knowledge of state and hardware: greedy, with no price."""
    scores = {site: knowledge.exact_score_ms(request, site) for site in knowledge.sites}
    site = min(scores, key=lambda one: scores[one])
    return Choice(site, scores[site])


def first_token(request: Request, knowledge: Knowledge) -> Choice:
    """The product's own choice."""
    views = [knowledge.report(site).view for site in knowledge.sites]
    sends = (knowledge.tokens_sent or OwnSends()).unreported(views)
    decision = choose(knowledge.ask(request), views, own_sends=sends, now_ms=knowledge.now_ms)
    return Choice(decision.site, decision.chosen.predicted_ms)


def hand_on(request: Request, knowledge: Knowledge) -> str | None:
    """The product's own second look, at the target; the request's entry is that target here."""
    views = [knowledge.report(site).view for site in knowledge.sites]
    sends = (knowledge.tokens_sent or OwnSends()).unreported(views)
    here = request.entry or request.site
    return second_look(knowledge.ask(request), views, here=here, own_sends=sends, now_ms=knowledge.now_ms)


OURS = ("ours, relayed", "ours, client decides")
LIMIT = "perfect knowledge, greedy"


def policies() -> dict[str, Policy]:
    """All rows, each new for each run: round robin counts."""
    gorgo = {
        f"GORGO-style, weight {weight:g}": Policy(partial(global_rate, running_weight=weight))
        for weight in (0.02, 0.05, 0.1)
    }
    return {
        "nearest by place": Policy(by_place, relay=False),
        "nearest by RTT": Policy(by_rtt, relay=False),
        "latency record": Policy(latency_record, relay=False),
        "round robin": Policy(round_robin()),
        "least load": Policy(least_load),
        "prefix only": Policy(prefix_only),
        "SkyWalker-like": Policy(local_first),
        **gorgo,
        "GORGO-style, entry by place": Policy(partial(global_rate, running_weight=0.05), entry_by_place=True),
        OURS[0]: Policy(first_token, hand_on=hand_on),
        OURS[1]: Policy(first_token, relay=False, hand_on=hand_on, client=True),
        LIMIT: Policy(exact, fresh=True),
    }
