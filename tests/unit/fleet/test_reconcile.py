"""The plan: what each state of an endpoint and its replicas asks for, and that it leads somewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.fleet.fleets import endpoint, replica, spec, wants

from nearstream.core.endpoints import EndpointStatus
from nearstream.core.replicas import Replica, ReplicaSpec, ReplicaState
from nearstream.fleet.reconcile import (
    BACKOFF_LONGEST_S,
    DEAD_KEPT,
    FAILURES_ALLOWED,
    Action,
    Forget,
    SetStatus,
    StartReplica,
    StopReplica,
    backoff_s,
    plan,
)
from nearstream.fleet.specs import Desired, Wanted

CREATING, UPDATING = EndpointStatus.CREATING, EndpointStatus.UPDATING
IN_SERVICE, FAILED = EndpointStatus.IN_SERVICE, EndpointStatus.FAILED
DELETING = EndpointStatus.DELETING
STARTING, READY = ReplicaState.STARTING, ReplicaState.READY
DRAINING, DEAD = ReplicaState.DRAINING, ReplicaState.DEAD
OLD = spec(config="chat-0")
NOW = 1000.0
SOON = 100.0


def shown(actions: Iterable[Action]) -> list[str]:
    """Actions in a few words."""
    words = []
    for action in actions:
        match action:
            case StartReplica():
                words.append("start")
            case StopReplica(replica_id, grace_s):
                words.append(f"stop {replica_id}" if grace_s else f"forget {replica_id}")
            case SetStatus(_, status):
                words.append(status.value)
            case Forget(of):
                words.append(f"delete {of.name}")
    return words


@pytest.mark.parametrize(
    ("desired", "observed", "expected"),
    [
        pytest.param(wants(CREATING), [], ["start"], id="a new endpoint starts its replica"),
        pytest.param(wants(CREATING, 3), [], ["start"] * 3, id="all replicas start at once"),
        pytest.param(wants(CREATING), [replica("a", STARTING)], [], id="a start is awaited"),
        pytest.param(wants(CREATING), [replica("a")], ["InService"], id="ready is in service"),
        pytest.param(wants(CREATING, 0), [], ["InService"], id="no replica wanted is in service"),
        pytest.param(
            wants(CREATING, 2),
            [replica("a"), replica("b", STARTING)],
            ["InService"],
            id="one is enough",
        ),
        pytest.param(wants(IN_SERVICE), [replica("a")], [], id="all is well"),
        pytest.param(wants(IN_SERVICE), [replica("a", DEAD)], ["start"], id="a dead one is replaced"),
        pytest.param(
            wants(IN_SERVICE), [replica("a"), replica("b", started_at=5.0)], ["stop b"], id="the newer goes"
        ),
        pytest.param(
            wants(IN_SERVICE),
            [replica("a", STARTING), replica("b", started_at=5.0)],
            ["stop a"],
            id="ready is",
        ),
        pytest.param(wants(IN_SERVICE), [replica("a", DRAINING)], ["stop a", "start"], id="draining goes on"),
        pytest.param(
            wants(UPDATING), [replica("old", of=OLD)], ["start"], id="an update starts before it stops"
        ),
        pytest.param(
            wants(UPDATING),
            [replica("old", of=OLD), replica("new", STARTING)],
            [],
            id="old serves on",
        ),
        pytest.param(
            wants(UPDATING),
            [replica("old", of=OLD), replica("new")],
            ["InService", "stop old"],
            id="then go",
        ),
        pytest.param(
            wants(UPDATING, 2),
            [replica("old", of=OLD), replica("n1"), replica("n2", STARTING)],
            [],
            id="an update waits for all",
        ),
        pytest.param(
            wants(UPDATING),
            [replica("old", STARTING, of=OLD), replica("new", STARTING)],
            ["stop old"],
            id="an old one that does not serve goes at once",
        ),
        pytest.param(
            wants(DELETING), [replica("a"), replica("b", DEAD)], ["stop a", "forget b"], id="delete"
        ),
        pytest.param(wants(DELETING), [], ["delete chat"], id="gone"),
        pytest.param(wants(FAILED), [replica("a"), replica("b", DEAD)], ["stop a", "forget b"], id="failed"),
        pytest.param(
            wants(FAILED), [replica("old", of=OLD), replica("a", STARTING)], ["stop a"], id="a failed update"
        ),
        pytest.param(
            wants(IN_SERVICE), [replica("a"), replica("x", of=spec(name="other"))], ["stop x"], id="nobody's"
        ),
        pytest.param(wants(EndpointStatus.OUT_OF_SERVICE), [replica("a")], [], id="out of service is left"),
    ],
)
def test_the_plan_for(desired: Desired, observed: list[Replica], expected: list[str]) -> None:
    assert shown(plan([desired], observed, SOON)) == expected


def test_a_problem_fails_a_new_endpoint_and_leaves_one_in_service_alone() -> None:
    new = Desired(endpoint(CREATING), problem="Set HF_MODEL_ID.")
    assert plan([new], [], NOW) == [SetStatus(new.endpoint, FAILED, "Set HF_MODEL_ID.")]
    serving = Desired(endpoint(IN_SERVICE), problem="Set HF_MODEL_ID.")
    assert plan([serving], [replica("a")], NOW) == []


def dead(number: int, started_at: float, reason: str = "The process exited with code 1.") -> Replica:
    return replica(f"d{number}", DEAD, started_at=started_at, exit_reason=reason)


def test_three_deaths_fail_a_new_endpoint_with_the_words_that_clients_match_and_the_last_reason() -> None:
    deaths = [dead(number, NOW - number, f"Reason {number}.") for number in range(FAILURES_ALLOWED)]
    (action,) = plan([wants(CREATING)], deaths, NOW)
    assert isinstance(action, SetStatus)
    assert action.status is FAILED
    assert action.failure_reason == (
        "The primary container for production variant AllTraffic did not pass the ping health check. "
        "`nearstream logs chat` shows its log. Reason 0."
    )


def test_a_long_reason_keeps_its_start_and_the_end_of_the_log() -> None:
    deaths = [dead(number, NOW, f"Log:{'x' * 3000} RuntimeError: no memory") for number in range(3)]
    (action,) = plan([wants(CREATING)], deaths, NOW)
    assert isinstance(action, SetStatus) and action.failure_reason is not None
    assert len(action.failure_reason) == 1024
    assert action.failure_reason.startswith("The primary container for production variant AllTraffic did not")
    assert action.failure_reason.endswith("RuntimeError: no memory")


def test_a_replica_that_is_not_ready_in_time_fails_a_new_endpoint() -> None:
    late = replica("a", STARTING, started_at=NOW - 601)
    (action,) = plan([wants(CREATING)], [late], NOW)
    assert isinstance(action, SetStatus) and action.failure_reason is not None
    assert action.failure_reason.endswith("It was not ready after 600 s.")


def test_in_service_a_replica_that_is_not_ready_in_time_is_stopped_then_replaced() -> None:
    late = replica("a", STARTING, started_at=NOW - 601)
    assert shown(plan([wants()], [late], NOW)) == ["stop a"]
    assert shown(plan([wants()], [replace(late, state=DRAINING)], NOW)) == ["stop a", "start"]


def test_time_out_of_service_counts_from_when_it_began() -> None:
    restarting = replace(replica("a", STARTING, started_at=0.0), since=NOW - 10)
    assert plan([wants()], [restarting], NOW) == []


def test_in_service_a_crash_loop_backs_off_and_never_fails() -> None:
    deaths = [dead(number, NOW - number) for number in range(5)]
    assert plan([wants()], deaths, NOW) == []
    assert plan([wants()], deaths, NOW + backoff_s(5) - 0.01) == []
    assert shown(plan([wants()], deaths, NOW + backoff_s(5))) == ["start"]


def test_a_replica_that_ran_longer_than_its_back_off_is_replaced_at_once() -> None:
    assert shown(plan([wants()], [dead(0, NOW - 3600), dead(1, NOW - 7200)], NOW)) == ["start"]


def test_deaths_after_a_long_life_are_no_crash_loop() -> None:
    lived = [replace(dead(number, NOW - 70), since=NOW) for number in range(6)]
    assert shown(plan([wants()], lived, NOW)) == ["start"]
    crashed = [*lived, *(dead(number, NOW) for number in range(6, 9))]
    assert shown(plan([wants()], crashed, NOW)) == ["forget d5"]
    assert backoff_s(3) <= 2.0
    assert "start" in shown(plan([wants()], crashed, NOW + 2.0))


def test_the_back_off_grows_and_is_bounded() -> None:
    waits = [backoff_s(failures) for failures in range(12)]
    assert waits == sorted(waits)
    assert waits[:4] == [0.0, 0.0, 1.0, 2.0]
    assert backoff_s(10**9) == BACKOFF_LONGEST_S


def test_the_dead_are_forgotten_after_a_while() -> None:
    deaths = [dead(number, NOW - number) for number in range(DEAD_KEPT + 2)]
    assert shown(plan([wants()], [replica("a"), *deaths], NOW)) == ["forget d8", "forget d9"]
    later = shown(plan([wants()], [replica("a"), *deaths], NOW + 3600))
    assert later == [f"forget d{number}" for number in range(FAILURES_ALLOWED, DEAD_KEPT + 2)]


@dataclass
class World:
    """Does what is planned, at once; replicas start well or die as they are told."""

    desired: list[Desired]
    replicas: dict[str, Replica]
    deaths_to_come: int = 0
    now: float = NOW
    most: int = 0
    numbers: Iterator[int] = field(default_factory=count)

    def step(self) -> list[Action]:
        actions = plan(self.desired, list(self.replicas.values()), self.now)
        for action in actions:
            self.apply(action)
        self.most = max(self.most, len([one for one in self.replicas.values() if one.state is not DEAD]))
        self.live()
        self.now += 30.0
        return actions

    def apply(self, action: Action) -> None:
        match action:
            case StartReplica(wanted):
                made = replica(f"n{next(self.numbers)}", STARTING, started_at=self.now, of=wanted)
                self.replicas[made.id] = made
            case StopReplica(replica_id):
                del self.replicas[replica_id]
            case SetStatus(of, status, reason):
                changed = replace(of, status=status, failure_reason=reason)
                self.desired = [
                    replace(one, endpoint=changed) if one.endpoint == of else one for one in self.desired
                ]
            case Forget(of):
                self.desired = [one for one in self.desired if one.endpoint != of]

    def live(self) -> None:
        for one in list(self.replicas.values()):
            if one.state is STARTING:
                self.deaths_to_come -= 1
                state = DEAD if self.deaths_to_come >= 0 else READY
                self.replicas[one.id] = replace(one, state=state)


STATUSES = st.sampled_from([CREATING, UPDATING, IN_SERVICE, FAILED, DELETING, EndpointStatus.ROLLING_BACK])
SPECS = st.sampled_from([spec(), OLD, spec("B"), spec("B", "chat-0"), spec("C"), spec(name="other")])


@st.composite
def worlds(draw: st.DrawFn) -> World:
    wanted = [Wanted(spec(name), draw(st.integers(0, 3))) for name in draw(st.sampled_from(["A", "AB"]))]
    wanted[0] = replace(wanted[0], spec=spec())
    observed: Sequence[tuple[ReplicaSpec, ReplicaState, float]] = draw(
        st.lists(st.tuples(SPECS, st.sampled_from(ReplicaState), st.floats(0.0, NOW)), max_size=8)
    )
    replicas = [
        replica(f"o{place}", state, started_at=at, of=of) for place, (of, state, at) in enumerate(observed)
    ]
    return World(
        desired=[Desired(endpoint(draw(STATUSES)), tuple(wanted))],
        replicas={one.id: one for one in replicas},
        deaths_to_come=draw(st.integers(0, 6)),
    )


@settings(max_examples=300)
@given(worlds())
def test_from_any_state_the_plan_comes_to_rest_at_what_is_wanted(world: World) -> None:
    for _ in range(40):
        world.step()
    assert world.step() == []
    if not world.desired:
        assert world.replicas == {}
        return
    (one,) = world.desired
    assert one.endpoint.status in {IN_SERVICE, FAILED}
    if one.endpoint.status is IN_SERVICE:
        alive = [found.spec for found in world.replicas.values() if found.state is READY]
        assert sorted(alive, key=str) == sorted(
            (wanted.spec for wanted in one.wanted for _ in range(wanted.instances)), key=str
        )


@given(worlds())
def test_no_more_run_than_are_wanted_and_what_ran_before(world: World) -> None:
    before = len(world.replicas)
    wanted = sum(one.instances for one in world.desired[0].wanted)
    for _ in range(20):
        world.step()
    assert world.most <= before + wanted


@given(worlds())
def test_a_plan_depends_on_nothing_but_its_arguments(world: World) -> None:
    observed = list(world.replicas.values())
    assert plan(world.desired, observed, NOW) == plan(world.desired, observed, NOW)


@given(worlds())
def test_an_update_never_stops_the_last_that_serves_before_its_successor_is_ready(world: World) -> None:
    world.desired = [replace(world.desired[0], endpoint=endpoint(UPDATING))]
    wanted = {one.spec for one in world.desired[0].wanted if one.instances}
    ready = [one for one in world.replicas.values() if one.state is READY and one.spec.endpoint == "chat"]
    current = {one.spec for one in world.desired[0].wanted}
    old = {one.id for one in ready if one.spec not in current}
    actions = plan(world.desired, list(world.replicas.values()), NOW)
    if wanted - {one.spec for one in ready}:
        assert not old & {action.id for action in actions if isinstance(action, StopReplica)}


def unfit(replica_id: str = "r-1") -> Replica:
    return replace(replica(replica_id, DEAD, exit_reason="the archive is broken"), unfit=True)


@pytest.mark.parametrize("status", [CREATING, UPDATING, IN_SERVICE])
def test_what_can_never_start_is_not_tried_again(status: EndpointStatus) -> None:
    (action,) = plan([wants(status)], [unfit()], NOW)
    assert isinstance(action, SetStatus)
    assert action.status is FAILED
    assert "cannot start" in str(action.failure_reason) and "the archive is broken" in str(
        action.failure_reason
    )


def test_an_endpoint_that_still_answers_goes_on_with_what_it_has() -> None:
    assert plan([wants(IN_SERVICE, 2)], [replica("r-0"), unfit()], NOW) == []
