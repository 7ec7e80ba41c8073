"""What may be invoked, and the error that a caller gets when the model or its endpoint fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nearstream.core.accounts import Account
from nearstream.core.endpoints import Endpoint, EndpointStatus
from nearstream.core.errors import Invalid, Missing, ServiceError
from nearstream.core.invocations import Invocation, StreamFailure

PRIMARY: Final = "primary"
MAX_CUSTOM_ATTRIBUTES: Final = 1024
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


@dataclass(frozen=True, slots=True)
class Runtime:
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
        if reason := _unsupported(invocation):
            raise Invalid(reason)
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

    def check_custom_attributes(self, invocation: Invocation, attributes: str | None) -> None:
        """Raise ServiceError ModelError for CustomAttributes of a container that no client may be sent."""
        if attributes is None or (len(attributes) <= MAX_CUSTOM_ATTRIBUTES and attributes.isascii()):
            return
        what = f"{len(attributes)} characters" if attributes.isascii() else "characters that are not US-ASCII"
        message = f"The container answered with CustomAttributes of {what}"
        wanted = f"at most {MAX_CUSTOM_ATTRIBUTES} visible US-ASCII characters are allowed"
        raise self._model_error(invocation, 200, f"{message}; {wanted}.", PRIMARY)

    def model_failed(
        self, invocation: Invocation, status: int, body: bytes, *, container: str = PRIMARY
    ) -> ServiceError:
        """ModelError for a container that answered with an error `status`."""
        return self._model_error(invocation, status, body.decode(errors="replace"), container)

    def timed_out(self, invocation: Invocation, *, container: str = PRIMARY) -> ServiceError:
        """ModelError for a container that did not answer in time."""
        message = (
            f"Your invocation timed out while waiting for a response from container {container}. Review the"
            " latency metrics for each container, resolve the issue, and try again."
        )
        return self._model_error(invocation, 0, message, container)

    def broke(self, invocation: Invocation, *, container: str = PRIMARY) -> ServiceError:
        """ModelError for a container that went away before it answered."""
        message = f"The connection to container {container} was closed before it answered."
        return self._model_error(invocation, 0, message, container)

    def too_long(self, invocation: Invocation, limit_bytes: int, *, container: str = PRIMARY) -> ServiceError:
        """ModelError for an answer that is longer than a whole one can be."""
        message = (
            f"The response of container {container} has more than {limit_bytes} bytes, the most that"
            " InvokeEndpoint returns: call InvokeEndpointWithResponseStream, or ask for less."
        )
        return self._model_error(invocation, 0, message, container)

    def _model_error(
        self, invocation: Invocation, status: int, original: str, container: str
    ) -> ServiceError:
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
        return ServiceError("ModelError", message, fields)


def _unsupported(invocation: Invocation) -> str | None:
    """Why the call cannot be honoured, or None."""
    name = invocation.endpoint
    if invocation.explanations is not None:
        return (
            f"EnableExplanations was given, and endpoint {name} has no explainer: Clarify explanations are"
            " not supported here; leave it out."
        )
    if invocation.target_model is not None:
        return f"Endpoint {name} is not a multi-model endpoint and does not support target model header."
    if invocation.target_container is not None:
        return (
            f"Endpoint {name} is not a multi-container endpoint with direct invocation"
            " and does not support target container hostname header."
        )
    return None


def _advice(endpoint: Endpoint) -> str:
    if endpoint.status == EndpointStatus.FAILED and endpoint.failure_reason:
        return f" {endpoint.failure_reason}"
    return " Wait until it is." if endpoint.status == EndpointStatus.CREATING else ""


def stream_timed_out(*, container: str = PRIMARY) -> StreamFailure:
    """What ends a stream whose time is over."""
    message = f"Your model {container} did not complete sending the inference response in the allotted time."
    return StreamFailure("ModelStreamError", message, "ModelInvocationTimeExceeded")


def stream_broken(*, container: str = PRIMARY) -> StreamFailure:
    """What ends a stream whose container went away."""
    message = f"Your model {container} closed the connection before it completed the inference response."
    return StreamFailure("ModelStreamError", message, "StreamBroken")
