"""What to do so that what runs becomes what should run: pure, one look at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from nearstream.core.endpoints import Endpoint, EndpointStatus
from nearstream.core.replicas import Replica, ReplicaSpec, ReplicaState
from nearstream.fleet.specs import Desired, Wanted

FAILURES_ALLOWED = 3
BACKOFF_S = 1.0
BACKOFF_LONGEST_S = 60.0
# A replica that lived so long did not crash at its start; its death does not predict the next one's.
STABLE_S = 60.0
# Dead replicas are the memory of a crash loop: so many are kept, and those beyond the allowed for so long.
DEAD_KEPT = 8
DEAD_KEPT_S = 600.0
GRACE_S = 30.0
# FailureReason of DescribeEndpoint holds no more.
REASON_CHARACTERS = 1024


@dataclass(frozen=True, slots=True)
class StartReplica:
    """Start one more of `spec`."""

    spec: ReplicaSpec


@dataclass(frozen=True, slots=True)
class StopReplica:
    """Drain and end one; a dead one is only forgotten."""

    id: str
    grace_s: float
    why: str


@dataclass(frozen=True, slots=True)
class SetStatus:
    """Record what became of `endpoint`, as it was when this was decided."""

    endpoint: Endpoint
    status: EndpointStatus
    failure_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Forget:
    """Delete the record of an endpoint whose replicas are gone."""

    endpoint: Endpoint


Action = StartReplica | StopReplica | SetStatus | Forget

_PENDING = {
    EndpointStatus.CREATING,
    EndpointStatus.UPDATING,
    EndpointStatus.SYSTEM_UPDATING,
    EndpointStatus.ROLLING_BACK,
}
_ALIVE = {ReplicaState.STARTING, ReplicaState.READY}


def plan(desired: Sequence[Desired], observed: Sequence[Replica], now: float) -> list[Action]:
    """The actions for this moment, in order. `now`: by the clock of `started_at`.

    A replacement is started before what it replaces is drained, so an update needs room for both.
    """
    known = {one.endpoint.name for one in desired}
    actions: list[Action] = [
        _stop(replica, "belongs to no endpoint") for replica in observed if replica.spec.endpoint not in known
    ]
    for one in desired:
        own = [replica for replica in observed if replica.spec.endpoint == one.endpoint.name]
        actions += _plan_endpoint(one, own, now)
    return actions


def _plan_endpoint(one: Desired, own: Sequence[Replica], now: float) -> list[Action]:
    status = one.endpoint.status
    if status is EndpointStatus.DELETING:
        return _plan_deletion(one, own)
    if status in _PENDING:
        return _plan_pending(one, own, now)
    if status is EndpointStatus.IN_SERVICE and one.problem is None:
        return _plan_serving(one, own, now)
    if status in {EndpointStatus.FAILED, EndpointStatus.UPDATE_ROLLBACK_FAILED}:
        return _plan_failed(one, own)
    return []


def _plan_deletion(one: Desired, own: Sequence[Replica]) -> list[Action]:
    if not own:
        return [Forget(one.endpoint)]
    return [_stop(replica, "the endpoint is being deleted") for replica in own]


def _plan_failed(one: Desired, own: Sequence[Replica]) -> list[Action]:
    """What served before a failed update goes on serving; the rest makes room."""
    failed = {wanted.spec for wanted in one.wanted}
    return [
        _stop(replica, "the endpoint failed")
        for replica in own
        if replica.state is not ReplicaState.READY or replica.spec in failed
    ]


def _plan_serving(one: Desired, own: Sequence[Replica], now: float) -> list[Action]:
    lost = (_unfit(want, own) for want in one.wanted if not _count_ready(want, own))
    if reason := next(filter(None, lost), None):
        return [SetStatus(one.endpoint, EndpointStatus.FAILED, _fitted(reason))]
    return _plan_replicas(one, own, now)


def _plan_pending(one: Desired, own: Sequence[Replica], now: float) -> list[Action]:
    missing = [want for want in one.wanted if _count_ready(want, own) < _enough(want, one.endpoint.status)]
    reason = one.problem or next(filter(None, (_failure(want, own, now) for want in missing)), None)
    if reason is not None:
        return [SetStatus(one.endpoint, EndpointStatus.FAILED, _fitted(reason))]
    if not missing:
        return [SetStatus(one.endpoint, EndpointStatus.IN_SERVICE), *_plan_replicas(one, own, now)]
    return _plan_replicas(one, own, now)


def _plan_replicas(one: Desired, own: Sequence[Replica], now: float) -> list[Action]:
    actions: list[Action] = [
        _stop(replica, "was draining") for replica in own if replica.state is ReplicaState.DRAINING
    ]
    for wanted in one.wanted:
        actions += _plan_variant(wanted, [replica for replica in own if replica.spec == wanted.spec], now)
    specs = {wanted.spec for wanted in one.wanted}
    complete = all(_count_ready(wanted, own) >= wanted.instances for wanted in one.wanted)
    for replica in own:
        if replica.spec in specs or replica.state is ReplicaState.DRAINING:
            continue
        if complete or replica.state is not ReplicaState.READY:
            actions.append(_stop(replica, "another configuration is in force"))
    return actions


def _plan_variant(wanted: Wanted, own: Sequence[Replica], now: float) -> list[Action]:
    """`own` have the wanted spec."""
    alive = sorted((replica for replica in own if replica.state in _ALIVE), key=_worth)
    overdue = [replica for replica in alive if _is_overdue(replica, now)]
    dead = _dead(own)
    late = f"was not ready after {wanted.spec.startup_timeout_s:.0f} s"
    actions: list[Action] = [_stop(replica, late) for replica in overdue]
    actions += [
        _stop(replica, "more run than are wanted")
        for replica in alive[wanted.instances :]
        if replica not in overdue
    ]
    actions += [
        _stop(replica, "died")
        for place, replica in enumerate(dead)
        if place >= DEAD_KEPT or (place >= FAILURES_ALLOWED and now - replica.started_at > DEAD_KEPT_S)
    ]
    if any(replica.unfit for replica in dead):
        return actions
    if not dead or now >= dead[0].started_at + backoff_s(_crashes(dead)):
        actions += [StartReplica(wanted.spec)] * (wanted.instances - len(alive))
    return actions


def backoff_s(failures: int) -> float:
    """How long after the last start the next one comes; one that ran longer is replaced at once."""
    if failures <= 1:
        return 0.0
    return min(BACKOFF_LONGEST_S, BACKOFF_S * 2.0 ** min(failures - 2, 16))


def _enough(wanted: Wanted, status: EndpointStatus) -> int:
    """Ready replicas that put a variant in service: one when it is new, all when it replaces others."""
    return min(wanted.instances, 1) if status is EndpointStatus.CREATING else wanted.instances


def _failure(wanted: Wanted, own: Sequence[Replica], now: float) -> str | None:
    """Why a variant that is not in service yet will not be; None while there is hope."""
    own = [replica for replica in own if replica.spec == wanted.spec]
    dead = _dead(own)
    reason = (
        f"The primary container for production variant {wanted.spec.variant} did not pass the ping health "
        f"check. `nearstream logs {wanted.spec.endpoint}` shows its log."
    )
    if unfit := _unfit(wanted, own):
        return unfit
    if len(dead) >= FAILURES_ALLOWED:
        return f"{reason} {dead[0].exit_reason or ''}".strip()
    if any(_is_overdue(replica, now) for replica in own):
        return f"{reason} It was not ready after {wanted.spec.startup_timeout_s:.0f} s."
    return None


def _unfit(wanted: Wanted, own: Sequence[Replica]) -> str | None:
    """Why no replica of a variant can ever start, if one has found that out."""
    unfit = [replica for replica in own if replica.unfit and replica.spec == wanted.spec]
    if not unfit:
        return None
    return (
        f"The primary container for production variant {wanted.spec.variant} cannot start. "
        f"`nearstream logs {wanted.spec.endpoint}` shows its log. {unfit[0].exit_reason or ''}"
    )


def _fitted(reason: str) -> str:
    """Cuts the middle: the start names what failed, the end of the log explains it."""
    if len(reason) <= REASON_CHARACTERS:
        return reason
    half = REASON_CHARACTERS // 3
    return f"{reason[:half]} … {reason[-(REASON_CHARACTERS - half - 3) :]}"


def _dead(own: Sequence[Replica]) -> list[Replica]:
    """The dead, the last started first."""
    return sorted(
        (replica for replica in own if replica.state is ReplicaState.DEAD),
        key=lambda replica: (-replica.started_at, replica.id),
    )


def _crashes(dead: Sequence[Replica]) -> int:
    """How many of `dead`, the last started first, died young in a row."""
    return sum(1 for _ in takewhile(lambda replica: _lived_s(replica) < STABLE_S, dead))


def _lived_s(dead: Replica) -> float:
    return 0.0 if dead.since is None else dead.since - dead.started_at


def _count_ready(wanted: Wanted, own: Sequence[Replica]) -> int:
    return sum(replica.spec == wanted.spec and replica.state is ReplicaState.READY for replica in own)


def _is_overdue(replica: Replica, now: float) -> bool:
    since = replica.started_at if replica.since is None else replica.since
    return replica.state is ReplicaState.STARTING and now - since > replica.spec.startup_timeout_s


def _worth(replica: Replica) -> tuple[bool, float, str]:
    """Sorts what to keep first: the ready, then the older."""
    return replica.state is not ReplicaState.READY, replica.started_at, replica.id


def _stop(replica: Replica, why: str) -> StopReplica:
    return StopReplica(replica.id, 0.0 if replica.state is ReplicaState.DEAD else GRACE_S, why)
