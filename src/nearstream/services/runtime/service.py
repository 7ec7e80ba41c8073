"""The SageMaker runtime as the front door serves it: its operations are relayed to replicas."""

from __future__ import annotations

from typing import Final

from nearstream.core.errors import (
    Conflict,
    GenerationFailed,
    Invalid,
    Missing,
    NearstreamError,
    NotReady,
    Overloaded,
)
from nearstream.services.service import Service

REFUSED_MEMBERS: Final = frozenset(
    {"TargetModel", "TargetContainerHostname", "InferenceComponentName", "EnableExplanations"}
)
"""Members of an invocation that no endpoint here can honour; see Runtime.check."""

KEPT_MEMBERS: Final = frozenset({"PrefixAwareId"})
"""Members that are checked and change nothing."""

SERVICE: Final = Service(
    name="sagemaker-runtime",
    operations={},
    errors={
        Invalid: "ValidationError",
        Missing: "ValidationError",
        Conflict: "ValidationError",
        Overloaded: "ThrottlingException",
        NotReady: "ServiceUnavailable",
        GenerationFailed: "ModelError",
        NearstreamError: "InternalFailure",
    },
    relayed=frozenset({"InvokeEndpoint", "InvokeEndpointWithResponseStream"}),
    refused={"InvokeEndpointAsync": "endpoints answer at once; use InvokeEndpoint."},
)
"""boto3 tries a 5xx or ThrottlingException three times: only for what a retry can help."""
