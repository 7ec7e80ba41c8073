"""The SageMaker runtime: what may be invoked, and what a caller is told when model or endpoint fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nearstream.core.endpoints import Endpoint, EndpointStatus
from nearstream.core.errors import Invalid, Missing
from nearstream.wire.aws.arn import Account
from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.invocation import (
    Invocation,
    answer_headers,
    closed_session,
    opened_session,
    parse,
    replica_headers,
    stream_headers,
)
from nearstream.wire.framing import eventstream

__all__ = [
    "MAX_BODY_BYTES",
    "Invocation",
    "Site",
    "answer_headers",
    "check_body",
    "closed_session",
    "opened_session",
    "parse",
    "replica_headers",
    "stream_broken",
    "stream_headers",
    "stream_timed_out",
]

MAX_BODY_BYTES: Final = 25 * 1024 * 1024
PRIMARY: Final = "primary"
_LONGEST_ORIGINAL: Final = 2048
_SERVING: Final = frozenset(
    {
        EndpointStatus.IN_SERVICE,
        EndpointStatus.UPDATING,
        EndpointStatus.SYSTEM_UPDATING,
        EndpointStatus.ROLLING_BACK,
        EndpointStatus.UPDATE_ROLLBACK_FAILED,
    }
)
_CLIENT_ERRORS: Final = range(400, 500)


def check_body(size_bytes: int) -> None:
    """Raise AwsError ValidationError (413) for a body that is too large."""
    if size_bytes > MAX_BODY_BYTES:
        message = (
            f"1 validation error detected: Value of {size_bytes} bytes at 'body' failed to satisfy"
            f" constraint: Member must have length less than or equal to {MAX_BODY_BYTES}"
        )
        raise AwsError("ValidationError", message, 413)


@dataclass(frozen=True, slots=True)
class Site:
    """The runtime of one account in one region."""

    account: Account

    def check(self, invocation: Invocation, endpoint: Endpoint | None) -> None:
        """Raise Missing or Invalid unless `endpoint` can take `invocation`; None means there is no such."""
        name = invocation.endpoint
        not_found = f"Endpoint {name} of account {self.account.id} not found."
        if endpoint is None:
            raise Missing(not_found)
        if endpoint.status not in _SERVING:
            raise Missing(f"{not_found} It is {endpoint.status}, not InService.{_advice(endpoint)}")
        if invocation.target_model is not None:
            raise Invalid(
                f"Endpoint {name} is not a multi-model endpoint and does not support target model header."
            )
        if invocation.target_container is not None:
            raise Invalid(
                f"Endpoint {name} is not a multi-container endpoint with direct invocation"
                " and does not support target container hostname header."
            )
        if invocation.inference_component is not None:
            component = invocation.inference_component
            raise Missing(f"Inference Component {component} of account {self.account.id} not found.")
        self._check_variant(invocation, endpoint)

    def _check_variant(self, invocation: Invocation, endpoint: Endpoint) -> None:
        names = [variant.name for variant in endpoint.variants]
        if invocation.variant is not None and invocation.variant not in names:
            raise Missing(
                f"Variant {invocation.variant} not found for endpoint {invocation.endpoint} of account"
                f" {self.account.id}: it has {', '.join(names)}."
            )

    def model_failed(
        self, invocation: Invocation, status: int, body: bytes, *, container: str = PRIMARY
    ) -> AwsError:
        """ModelError for a container that answered with an error `status`."""
        return self._model_error(invocation, status, body.decode(errors="replace"), container)

    def timed_out(self, invocation: Invocation, *, container: str = PRIMARY) -> AwsError:
        """ModelError for a container that did not answer in time."""
        message = (
            f"Your invocation timed out while waiting for a response from container {container}. Review the"
            " latency metrics for each container, resolve the issue, and try again."
        )
        return self._model_error(invocation, 0, message, container)

    def broke(self, invocation: Invocation, *, container: str = PRIMARY) -> AwsError:
        """ModelError for a container that went away before it answered."""
        message = f"The connection to container {container} was closed before it answered."
        return self._model_error(invocation, 0, message, container)

    def _model_error(self, invocation: Invocation, status: int, original: str, container: str) -> AwsError:
        side = "client" if status in _CLIENT_ERRORS else "server"
        original = original[:_LONGEST_ORIGINAL]
        message = (
            f'Received {side} error ({status}) from {container} with message "{original}".'
            f" See `nearstream logs {invocation.endpoint}` in account {self.account.id} for more information."
        )
        fields: dict[str, str | int] = {
            "OriginalStatusCode": status,
            "OriginalMessage": original,
            "LogStreamArn": self.account.log_stream_arn(invocation.endpoint),
        }
        return AwsError("ModelError", message, 424, fields)


def _advice(endpoint: Endpoint) -> str:
    if endpoint.status == EndpointStatus.FAILED and endpoint.failure_reason:
        return f" {endpoint.failure_reason}"
    return " Wait until it is." if endpoint.status == EndpointStatus.CREATING else ""


def stream_timed_out(*, container: str = PRIMARY) -> bytes:
    """The frame that ends a stream whose time is over."""
    message = f"Your model {container} did not complete sending the inference response in the allotted time."
    return eventstream.exception("ModelStreamError", message, "ModelInvocationTimeExceeded")


def stream_broken(*, container: str = PRIMARY) -> bytes:
    """The frame that ends a stream whose container went away."""
    message = f"Your model {container} closed the connection before it completed the inference response."
    return eventstream.exception("ModelStreamError", message, "StreamBroken")
