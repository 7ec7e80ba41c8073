"""One run: users, network, sites with their reports, and a policy that sends each request to a site."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from random import Random

import numpy as np

from benchmarks.steering import traffic
from benchmarks.steering.knowledge import Knowledge, Report, hardware_of
from benchmarks.steering.policies import Choice, Policy
from benchmarks.steering.servers import Events, Replica, exact_ms
from benchmarks.steering.traffic import Conversation, Remembered, Request
from benchmarks.steering.world import LAYOUTS, POPULATION, Hardware, UserGroup, mesh_rtt_ms, user_groups
from nearstream.edge.steering.coefficients import Coefficients, Regression, Work, over_slots, service_ms
from nearstream.edge.steering.correction import corrected
from nearstream.edge.steering.network import upload_rounds
from nearstream.edge.steering.own_sends import OwnSends
from nearstream.edge.steering.views import ReplicaView, SiteView

RELAY_MS = 0.4
HINT_AGE_MS = 1000.0
STALLS_EVERY_S = 30.0
_KEPT_REPORTS = 60
_RTO_MS = 200.0
_LOSS = {"fibre": 0.001, "cable": 0.003, "mobile": 0.012}


@dataclass(frozen=True, slots=True)
class Cell:
    """What is simulated: a layout at a share of its full rate, and for how long."""

    layout: str = "r+4"
    load: float = 0.5
    seconds: float = 240.0
    warm_seconds: float = 50.0
    report_ms: float = 500.0


@dataclass(frozen=True, slots=True)
class Result:
    """Times to first token in milliseconds, and how they came about."""

    ttft_ms: tuple[float, ...]
    relayed_share: float
    handed_on_share: float
    error_ms: float | None

    def percentile(self, percent: float) -> float:
        """Of the times to first token."""
        return float(np.percentile(self.ttft_ms, percent))


@dataclass(slots=True)
class Site:
    """Its replicas, what it learned, and the reports that it sent."""

    name: str
    replicas: list[Replica]
    learned: Regression
    coefficients: Coefficients
    correction: float = 1.0
    in_flight: int = 0
    reports: list[Report] = field(default_factory=list)

    def report(self, now_ms: float) -> Report:
        """Its state now."""
        states = tuple(replica.state() for replica in self.replicas)
        views = tuple(
            ReplicaView(
                str(number),
                replica.hardware.slots,
                running=state.running,
                waiting=state.waiting,
                queued_tokens=state.pending_tokens,
                cache_horizon_ms=state.kept_ms,
            )
            for number, (replica, state) in enumerate(zip(self.replicas, states, strict=True))
        )
        view = SiteView(self.name, now_ms, self.coefficients, views, correction=self.correction)
        return Report(view, self.in_flight, states)


class Simulation:
    """A cell under one policy; `run` gives the result."""

    def __init__(self, cell: Cell, policy: Policy, *, seed: int) -> None:
        self._cell, self._policy = cell, policy
        self._noise, self._arrivals = Random(seed), Random(seed * 7 + 1)
        self._events = Events()
        layout = LAYOUTS[cell.layout]
        self._hardware = hardware_of(layout.sites)
        self._sites = {name: self._site(name, kinds) for name, kinds in self._hardware.items()}
        self._groups = user_groups(list(self._sites))
        self._conversations_a_ms = layout.full_rate * cell.load / traffic.TURNS_A_CONVERSATION / 1000
        self._conversations = 0
        self._tokens_sent = {name: OwnSends() for name in self._sites}
        self._requests_sent = {name: OwnSends() for name in self._sites}
        self._ttft_ms: list[float] = []
        self._errors_ms: list[float] = []
        self._sent, self._relayed, self._handed_on = 0, 0, 0

    def run(self) -> Result:
        """Simulate it all."""
        for site in self._sites.values():
            site.reports.append(site.report(0.0))
            self._events.at(self._arrivals.uniform(0, self._cell.report_ms), partial(self._publish, site))
            for replica in site.replicas:
                self._events.at(self._until_stall_ms(), partial(self._stall, replica))
        self._events.at(0.0, self._arrive)
        self._events.run(self._cell.seconds * 1000)
        errors = float(np.percentile(self._errors_ms, 50)) if self._errors_ms else None
        sent = max(self._sent, 1)
        return Result(
            tuple(self._ttft_ms),
            self._relayed / sent,
            self._handed_on / sent,
            errors,
        )

    def _site(self, name: str, kinds: list[Hardware]) -> Site:
        replicas = [
            Replica(kind, self._events, self._noise, on_first=self._first, on_last=self._last)
            for kind in kinds
        ]
        start = Coefficients.from_warm_up((16, kinds[0].step_ms(16, 0)), (512, kinds[0].step_ms(512, 0)))
        return Site(name, replicas, Regression(start), start)

    # What happens by itself: stalls, reports, new conversations.

    def _until_stall_ms(self) -> float:
        return self._events.now_ms + self._noise.expovariate(1 / (STALLS_EVERY_S * 1000))

    def _stall(self, replica: Replica) -> None:
        replica.stall_ms += self._noise.uniform(150, 600)
        self._events.at(self._until_stall_ms(), partial(self._stall, replica))

    def _publish(self, site: Site) -> None:
        site.coefficients = site.learned.coefficients()
        site.reports.append(site.report(self._events.now_ms))
        del site.reports[:-_KEPT_REPORTS]
        wait_ms = self._cell.report_ms * self._noise.uniform(0.9, 1.1)
        self._events.at(self._events.now_ms + wait_ms, partial(self._publish, site))

    def _arrive(self) -> None:
        random = self._arrivals
        (metro,) = random.choices(list(POPULATION), list(POPULATION.values()))
        self._conversations += 1
        chat = traffic.conversation(self._conversations, random.choice(self._groups[metro]), random)
        self._turn(chat)
        self._events.at(self._events.now_ms + random.expovariate(self._conversations_a_ms), self._arrive)

    # A request's way.

    def _turn(self, chat: Conversation) -> None:
        request = traffic.next_turn(chat, self._events.now_ms)
        if not self._policy.relay:
            self._decide(request)
            return
        entry = chat.group.by_place if self._policy.entry_by_place else chat.group.by_rtt
        request.entry = entry
        up_ms = chat.group.rtt_ms[entry] * (0.5 + upload_rounds(request.body_bytes))
        self._after(up_ms + self._jitter_ms(chat.group), partial(self._decide, request))

    def _decide(self, request: Request) -> None:
        now_ms, chat = self._events.now_ms, request.conversation
        hint_ms = self._noise.uniform(0, HINT_AGE_MS) if self._policy.client else 0.0
        knowledge = self._knowledge(request.entry, hint_ms)
        choice: Choice = self._policy.choose(request, knowledge)
        self._sent += 1
        request.site, request.predicted_ms, request.decided_ms = choice.site, choice.predicted_ms, now_ms
        if request.entry is None:
            rounds = 0.5 + upload_rounds(request.body_bytes)
            way_ms = chat.group.rtt_ms[choice.site] * rounds + self._jitter_ms(chat.group)
            recent = now_ms - chat.used_at_ms.get(choice.site, -1e9) < 60_000
            if self._policy.client and not recent and choice.site != chat.group.by_rtt:
                # A new connection: TCP, then TLS.
                way_ms += 2 * chat.group.rtt_ms[choice.site]
            chat.used_at_ms[choice.site] = now_ms
            self._after(way_ms, partial(self._reach, request))
            return
        self._relayed += choice.site != request.entry
        self._send(request, request.entry, choice.site, knowledge)

    def _send(self, request: Request, origin: str, target: str, knowledge: Knowledge) -> None:
        """From one site to another."""
        way_ms = mesh_rtt_ms(origin, target) / 2 * (1 + 0.05 * self._noise.random()) + RELAY_MS
        at_ms = self._events.now_ms + way_ms
        tokens = min(knowledge.uncached(request, target))
        self._tokens_sent[origin].add(target, tokens=tokens, arrives_at_ms=at_ms)
        self._requests_sent[origin].add(target, tokens=1, arrives_at_ms=at_ms)
        self._after(way_ms, partial(self._reach, request))

    def _reach(self, request: Request) -> None:
        target = request.site
        # Whoever handed it on has looked already.
        if self._policy.hand_on and request.handed_on_by is None:
            entry, request.entry = request.entry, target
            knowledge = self._knowledge(target, 0.0)
            other = self._policy.hand_on(request, knowledge)
            request.entry = entry
            if other:
                self._handed_on += 1
                request.site, request.handed_on_by = other, target
                self._send(request, target, other, knowledge)
                return
        self._serve(request, self._sites[target])

    def _serve(self, request: Request, site: Site) -> None:
        """A site's own pool: the replica with the least wait by exact knowledge, under every policy."""
        waits = [
            exact_ms(replica.state(), replica.hardware, replica.uncached(request))
            for replica in site.replicas
        ]
        request.replica = waits.index(min(waits))
        replica = site.replicas[request.replica]
        state = replica.state()
        request.arrived_ms = self._events.now_ms
        request.work = Work(
            state.pending_tokens + replica.uncached(request),
            state.running,
            over_slots(state.running, state.waiting, replica.hardware.slots),
        )
        request.expected_ms = service_ms(site.coefficients, request.work)
        site.in_flight += 1
        replica.add(request)

    # An answer's way.

    def _first(self, request: Request) -> None:
        site, actual_ms = self._sites[request.site], self._events.now_ms - request.arrived_ms
        if request.work:
            site.learned.observe(request.work, actual_ms)
        site.correction = corrected(site.correction, actual_ms=actual_ms, predicted_ms=request.expected_ms)
        hops = [place for place in (request.site, request.handed_on_by, request.entry) if place]
        mesh_ms = sum(mesh_rtt_ms(one, two) / 2 for one, two in pairwise(hops))
        group = request.conversation.group
        down_ms = group.rtt_ms[hops[-1]] / 2 + self._jitter_ms(group)
        self._after(mesh_ms, partial(self._home, request, down_ms))

    def _home(self, request: Request, down_ms: float) -> None:
        if request.sent_ms < self._cell.warm_seconds * 1000:
            return
        now_ms = self._events.now_ms
        self._ttft_ms.append(now_ms + down_ms - request.sent_ms)
        if request.predicted_ms is not None:
            seen_ms = now_ms - request.decided_ms + (0.0 if request.entry else down_ms)
            self._errors_ms.append(abs(seen_ms - request.predicted_ms))

    def _last(self, request: Request) -> None:
        chat, now_ms = request.conversation, self._events.now_ms
        self._sites[request.site].in_flight -= 1
        tokens = request.prompt + request.output
        chat.read_by[request.site] = Remembered(request.replica, tokens, now_ms)
        chat.last_site = request.site
        chat.history += request.output
        if chat.turn < chat.turns:
            wait_ms = chat.group.rtt_ms[request.site] / 2 + traffic.pause_ms(chat)
            self._after(wait_ms, partial(self._turn, chat))

    # What a decider sees.

    def _knowledge(self, at: str | None, hint_ms: float) -> Knowledge:
        now_ms = self._events.now_ms
        known: dict[str, Report] = {}

        def report(name: str) -> Report:
            if name not in known:
                known[name] = self._seen(name, at, hint_ms)
            return known[name]

        own = at or next(iter(self._sites))
        return Knowledge(
            self._hardware,
            report,
            self._tokens_sent[own] if at else None,
            self._requests_sent[own],
            now_ms,
            self._noise.random,
        )

    def _seen(self, name: str, at: str | None, hint_ms: float) -> Report:
        site, now_ms = self._sites[name], self._events.now_ms
        if self._policy.fresh or name == at:
            return site.report(now_ms)
        latest_ms = now_ms - hint_ms - (mesh_rtt_ms(name, at) / 2 if at else 0.0)
        for report in reversed(site.reports):
            if report.view.taken_at_ms <= latest_ms:
                return report
        return site.reports[0]

    def _jitter_ms(self, group: UserGroup) -> float:
        """Of one way, with the time to send a lost segment again now and then."""
        lost = self._noise.random() < _LOSS[group.kind]
        resend_ms = max(_RTO_MS, 2 * group.rtt_ms[group.by_rtt]) if lost else 0.0
        return self._noise.expovariate(1 / group.jitter_ms) + resend_ms

    def _after(self, wait_ms: float, action: Callable[[], None]) -> None:
        self._events.at(self._events.now_ms + wait_ms, action)
