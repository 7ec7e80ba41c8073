"""What the site tells of itself: its health to a load balancer, its replicas to an operator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nearstream.core.accounts import Account
from nearstream.core.endpoints import Endpoint, EndpointStatus
from nearstream.core.replicas import Replica
from nearstream.fleet.pool import Pool
from nearstream.fleet.snapshot import Serving

# The endpoint that a site is healthy by: the one that `nearstream up` makes.
HEALTH_ENDPOINT = "assistant"


@dataclass(frozen=True, slots=True)
class SiteView:
    """Reads the pool's last snapshot; never the database."""

    pool: Pool
    account: Account
    url: str
    version: str
    objects: str
    """Where objects lie: a folder, or the URL of another S3."""

    def endpoint(self, name: str) -> Endpoint | None:
        """The endpoint of that name, or None."""
        serving = self.pool.fleet.endpoints.get(name)
        return serving.endpoint if serving else None

    @property
    def healthy(self) -> bool:
        """Whether `assistant` is InService with a replica that is ready."""
        serving = self.pool.fleet.endpoints.get(HEALTH_ENDPOINT)
        return (
            serving is not None
            and serving.endpoint.status is EndpointStatus.IN_SERVICE
            and bool(serving.ready)
        )

    def health(self) -> dict[str, Any]:
        """The body of GET /health, which anyone may ask for."""
        return {"status": "ok" if self.healthy else "starting", "version": self.version}

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
            "started_at": replica.started_at,
            "in_flight": self.pool.in_flight(replica.id),
            "exit_reason": replica.exit_reason,
        }
