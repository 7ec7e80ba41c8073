"""What an LMI server tells its dialect: the release it serves as, and the formats of its answers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Literal

from nearstream.core.errors import Unusable
from nearstream.wire.dialects.hf.terms import Terms
from nearstream.wire.dialects.limits import Limits

LATEST = "0.36.0"
Generation = Literal[1, 2, 3]
Formatter = Literal["json", "jsonlines", "sse", "json_chat", "jsonlines_chat", "sse_chat"]


@dataclass(frozen=True, slots=True)
class LmiRelease:
    """What differs on the wire between releases of the LMI container."""

    version: str = LATEST
    generation: Generation = 3
    stream_key: bool = True
    """A body may ask for a stream: `"stream": true`."""
    samples_when_asked: bool = False
    """Only `do_sample` turns sampling on; later releases go by temperature, top_p and top_k as well."""
    by_body: bool = True
    """/invocations looks at the body for `prompt`, `inputs`, `messages`."""


@dataclass(frozen=True, slots=True)
class Format:
    """What the operator chose for answers, as in serving.properties."""

    formatter: Formatter | None = None
    streaming: Literal["true", "false", "huggingface"] | None = None
    rolling_batch: bool = True
    tgi_compat: bool = False
    chat_as_lines: bool = False
    """Chat and completions stream as JSON lines, as DJL Serving has them; OpenAI's clients read events."""

    @property
    def streams(self) -> bool:
        return self.streaming in {"true", "huggingface"}


@dataclass(frozen=True, slots=True)
class LmiTerms:
    """Everything the LMI dialect needs to know of the server to read a body. `tgi` is for OpenAI's bodies."""

    release: LmiRelease = field(default_factory=LmiRelease)
    form: Format = field(default_factory=Format)
    limits: Limits = field(default_factory=Limits)
    tgi: Terms = field(default_factory=Terms)
    model: str = "model"
    """The name under which the model is served, which errors quote."""


def lmi_release(version: str) -> LmiRelease:
    """The release that `version` ("0.25.0", "0.25") names, "" the latest. Raises Unusable if it is none."""
    found = re.match(r"v?0\.(\d+)", version or LATEST)
    if found is None:
        raise Unusable(f"{version!r} is not a version of the LMI container: write it as {LATEST} or 0.25")
    minor = int(found[1])
    return LmiRelease(
        version=version or LATEST,
        generation=_generation(minor),
        stream_key=minor >= 27,  # noqa: PLR2004 - releases
        samples_when_asked=minor <= 31,  # noqa: PLR2004
        by_body=minor >= 35,  # noqa: PLR2004
    )


def in_mode(release: LmiRelease, *, asynchronous: bool) -> LmiRelease:
    """The wire of vLLM's own asynchronous service, or of the batches before it, under this release's name.

    Which of them runs is the operator's choice; a release only says which one runs unasked.
    """
    if asynchronous:
        return replace(release, generation=3, stream_key=True, samples_when_asked=False, by_body=True)
    generation: Generation = 2 if release.generation == 3 else release.generation  # noqa: PLR2004 - a name
    return replace(release, generation=generation, by_body=False)


def _generation(minor: int) -> Generation:
    if minor >= 35:  # noqa: PLR2004
        return 3
    return 2 if minor >= 26 else 1  # noqa: PLR2004
