"""What a request to the TGI server may ask for, from its container's settings and what its model holds."""

from __future__ import annotations

import structlog

from nearstream.config.container import ContainerSettings
from nearstream.wire.dialects.hf.terms import Release
from nearstream.wire.dialects.limits import Limits

_log = structlog.get_logger(__name__)


def limits(container: ContainerSettings, release: Release, context: int) -> Limits:
    """What a request may ask for: by the container's variables or its release, within `context` tokens."""
    total = container.max_total_tokens or release.default_max_total_tokens or context
    if total > context:
        if container.max_total_tokens is not None:
            _log.warning("MAX_TOTAL_TOKENS lowered to what fits", requested=total, fits=context)
        total = context
    most_input = container.max_input_tokens or release.default_max_input_tokens or total - 1
    if container.max_input_tokens is None or total != container.max_total_tokens:
        most_input = min(most_input, total - 1)
    return Limits(
        max_input_tokens=most_input,
        max_total_tokens=total,
        max_best_of=container.max_best_of,
        max_stop_sequences=container.max_stop_sequences,
        max_top_n_tokens=container.max_top_n_tokens,
        max_client_batch_size=container.max_client_batch_size,
        max_concurrent_requests=container.max_concurrent_requests,
        payload_limit_bytes=container.payload_limit,
    )
