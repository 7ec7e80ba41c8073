"""What a site tells a load balancer."""

from __future__ import annotations

import pytest
from tests.unit.fleet.fleets import endpoint, replica, spec

from nearstream.core.accounts import Account
from nearstream.core.endpoints import EndpointStatus
from nearstream.core.errors import Missing
from nearstream.core.replicas import ReplicaState
from nearstream.fleet.pool import Pool
from nearstream.fleet.snapshot import Fleet
from nearstream.frontdoor.view import SiteView


def view(*endpoints: tuple[EndpointStatus, ReplicaState]) -> SiteView:
    """Endpoints e0, e1, … in these states, each with one replica."""
    pool = Pool(random=lambda: 0.0, clock=lambda: 0.0)
    pool.update(
        Fleet.of(
            [endpoint(status, name=f"e{n}") for n, (status, _) in enumerate(endpoints)],
            [replica(f"r{n}", state, of=spec(name=f"e{n}")) for n, (_, state) in enumerate(endpoints)],
            0.0,
        )
    )
    return SiteView(pool, Account("123456789012", "us-east-1"), "http://x", "0", "objects")


SERVING = (EndpointStatus.IN_SERVICE, ReplicaState.READY)


def test_a_site_without_endpoints_serves_all_that_it_should() -> None:
    assert view().serves()


@pytest.mark.parametrize(
    ("status", "state", "site", "named"),
    [
        (EndpointStatus.IN_SERVICE, ReplicaState.READY, True, True),
        (EndpointStatus.UPDATING, ReplicaState.READY, True, True),
        (EndpointStatus.SYSTEM_UPDATING, ReplicaState.READY, True, True),
        (EndpointStatus.ROLLING_BACK, ReplicaState.READY, True, True),
        (EndpointStatus.UPDATE_ROLLBACK_FAILED, ReplicaState.READY, True, True),
        (EndpointStatus.IN_SERVICE, ReplicaState.STARTING, False, False),
        (EndpointStatus.IN_SERVICE, ReplicaState.DRAINING, False, False),
        (EndpointStatus.IN_SERVICE, ReplicaState.DEAD, False, False),
        (EndpointStatus.FAILED, ReplicaState.DEAD, False, False),
        (EndpointStatus.FAILED, ReplicaState.READY, False, False),
        (EndpointStatus.CREATING, ReplicaState.STARTING, True, False),
        (EndpointStatus.CREATING, ReplicaState.READY, True, False),
        (EndpointStatus.DELETING, ReplicaState.READY, True, False),
        (EndpointStatus.OUT_OF_SERVICE, ReplicaState.READY, True, False),
    ],
)
def test_a_site_is_healthy_when_each_endpoint_that_should_serve_does(
    status: EndpointStatus, state: ReplicaState, site: bool, named: bool
) -> None:
    shown = view(SERVING, (status, state))
    assert shown.serves() is site
    assert shown.serves("e0") and shown.serves("e1") is named


def test_an_endpoint_that_is_not_there_is_missing() -> None:
    with pytest.raises(Missing, match="e9"):
        view().serves("e9")
