"""Real-time LLM endpoints with response streaming, run by yourself, close to your users.

    clients      Client and AsyncClient call an endpoint (SageMakerEndpoint) or a model server (ModelServer)
    with boto3   iter_tokens and LineIterator read what boto3 streams; aiter_tokens and AsyncLineIterator too
    sites        Site runs a site in a program; `nearstream.testing` gives each pytest test one of its own
    errors       every error is a NearstreamError; `help(nearstream.core.errors)` draws their tree

The names in `nearstream.__all__` are the public API: one is removed or changed only after two minor releases
in which its use gives a DeprecationWarning that names what takes its place.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from nearstream.core.errors import (
    BatchTooLarge,
    CallFailed,
    Conflict,
    EngineDied,
    GenerationFailed,
    HandlerFailed,
    Invalid,
    Malformed,
    Misshapen,
    Missing,
    NearstreamError,
    NotReady,
    OptionInvalid,
    Overloaded,
    ServiceError,
    StreamFailed,
    TemplateFailed,
    TimedOut,
    ToolFailed,
    TooManyTokens,
    Unfit,
    Unreachable,
    Unsupported,
    Unusable,
    WrongMedia,
)

if TYPE_CHECKING:
    from nearstream.client.async_client import AsyncClient
    from nearstream.client.calls import AsyncByteStream, Response
    from nearstream.client.limits import Retries, TimeLimits
    from nearstream.client.lines import AsyncLineIterator, LineIterator
    from nearstream.client.signing import Credentials
    from nearstream.client.sync_client import ByteStream, Client
    from nearstream.client.targets import ModelServer, SageMakerEndpoint
    from nearstream.client.text_stream import AsyncTextStream, TextStream
    from nearstream.client.token_events import Usage
    from nearstream.client.tokens import aiter_tokens, iter_tokens
    from nearstream.site import Site

__all__ = [
    "AsyncByteStream",
    "AsyncClient",
    "AsyncLineIterator",
    "AsyncTextStream",
    "BatchTooLarge",
    "ByteStream",
    "CallFailed",
    "Client",
    "Conflict",
    "Credentials",
    "EngineDied",
    "GenerationFailed",
    "HandlerFailed",
    "Invalid",
    "LineIterator",
    "Malformed",
    "Misshapen",
    "Missing",
    "ModelServer",
    "NearstreamError",
    "NotReady",
    "OptionInvalid",
    "Overloaded",
    "Response",
    "Retries",
    "SageMakerEndpoint",
    "ServiceError",
    "Site",
    "StreamFailed",
    "TemplateFailed",
    "TextStream",
    "TimeLimits",
    "TimedOut",
    "TooManyTokens",
    "ToolFailed",
    "Unfit",
    "Unreachable",
    "Unsupported",
    "Unusable",
    "Usage",
    "WrongMedia",
    "aiter_tokens",
    "iter_tokens",
]

# Imported when they are first used: `import nearstream` takes no time.
_MODULES = {
    "AsyncByteStream": "nearstream.client.calls",
    "AsyncClient": "nearstream.client.async_client",
    "AsyncLineIterator": "nearstream.client.lines",
    "AsyncTextStream": "nearstream.client.text_stream",
    "ByteStream": "nearstream.client.sync_client",
    "Client": "nearstream.client.sync_client",
    "Credentials": "nearstream.client.signing",
    "LineIterator": "nearstream.client.lines",
    "ModelServer": "nearstream.client.targets",
    "Response": "nearstream.client.calls",
    "Retries": "nearstream.client.limits",
    "SageMakerEndpoint": "nearstream.client.targets",
    "Site": "nearstream.site",
    "TextStream": "nearstream.client.text_stream",
    "TimeLimits": "nearstream.client.limits",
    "Usage": "nearstream.client.token_events",
    "aiter_tokens": "nearstream.client.tokens",
    "iter_tokens": "nearstream.client.tokens",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'nearstream' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
