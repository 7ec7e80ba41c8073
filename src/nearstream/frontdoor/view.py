"""The site's state: its health for a load balancer, its replicas for an operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nearstream.core.accounts import Account
from nearstream.core.endpoints import Endpoint, EndpointStatus
from nearstream.core.errors import Missing
from nearstream.core.replicas import Replica
from nearstream.fleet.pool import Pool
from nearstream.fleet.snapshot import Serving

# Endpoints that no one waits to call: not there yet, or on their way out.
_NOT_COUNTED = {EndpointStatus.CREATING, EndpointStatus.DELETING, EndpointStatus.OUT_OF_SERVICE}


@dataclass(frozen=True, slots=True)
class SiteView:
    """Reads the pool's last snapshot; never the database."""

    pool: Pool
    account: Account
    url: str
    version: str
    objects: str
    """Where objects lie: a folder, or the URL of another S3."""
    date: Callable[[float], float] = float
    """Seconds since the epoch at a time of the fleet's clock."""

    def endpoint(self, name: str) -> Endpoint | None:
        """The endpoint of that name, or None."""
        serving = self.pool.fleet.endpoints.get(name)
        return serving.endpoint if serving else None

    def serves(self, endpoint: str | None = None) -> bool:
        """Whether an endpoint can be called now; without a name: whether all can that should.

        An endpoint can be called when it has a ready replica and its status is neither Failed, Creating,
        Deleting nor OutOfService. One that is being created or deleted does not count against the site, and
        a Failed one does, until it is updated or deleted. A site without endpoints serves all that it
        should. Raises Missing for an endpoint that is not there.
        """
        endpoints = self.pool.fleet.endpoints
        if endpoint is not None:
            if endpoint not in endpoints:
                raise Missing(f"There is no endpoint {endpoint!r}.")
            return _serves(endpoints[endpoint])
        counted = [each for each in endpoints.values() if each.endpoint.status not in _NOT_COUNTED]
        return all(map(_serves, counted))

    def health(self, *, serves: bool) -> dict[str, Any]:
        """The body of GET /health and /health/{endpoint}, which anyone may ask for."""
        return {"status": "ok" if serves else "starting", "version": self.version}

    def status(self) -> dict[str, Any]:
        """The body of GET /nearstream/status."""
        return {
            "url": self.url,
            "account": self.account.id,
            "region": self.account.region,
            "version": self.version,
            "objects": self.objects,
            "endpoints": [self._endpoint(serving) for serving in self.pool.fleet.endpoints.values()],
        }

    def _endpoint(self, serving: Serving) -> dict[str, Any]:
        endpoint = serving.endpoint
        return {
            "name": endpoint.name,
            "status": str(endpoint.status),
            "failure_reason": endpoint.failure_reason,
            "config": endpoint.config,
            "replicas": [self._replica(replica) for replica in serving.replicas],
        }

    def _replica(self, replica: Replica) -> dict[str, Any]:
        spec = replica.spec
        return {
            "id": replica.id,
            "variant": spec.variant,
            "state": str(replica.state),
            "model": spec.model or spec.model_data,
            "requested_model": spec.requested_model if spec.model else spec.model_data,
            "persona": spec.persona,
            "version": spec.version,
            "handle": replica.handle,
            "address": str(replica.address),
            "started_at": self.date(replica.started_at),
            "in_flight": self.pool.in_flight(replica.id),
            "exit_reason": replica.exit_reason,
        }


def _serves(serving: Serving) -> bool:
    status = serving.endpoint.status
    return bool(serving.ready) and status not in {*_NOT_COUNTED, EndpointStatus.FAILED}
