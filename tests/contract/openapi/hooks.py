"""For schemathesis, run with SCHEMATHESIS_HOOKS: what its checks cannot know of this server."""

from __future__ import annotations

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs) -> None:
    """In a stream a refusal is an event after a status of 200: let bad bodies ask for whole answers."""
    bad = case.meta is not None and case.meta.generation.mode.is_negative
    if bad and isinstance(case.body, dict) and case.body.get("stream") is True:
        case.body["stream"] = False
