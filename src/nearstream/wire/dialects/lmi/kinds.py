"""Which answer a call to an LMI container gets.

Up to 0.26 the operator alone says whether calls stream; from 0.27 a caller may where the operator chose no
formatter; since 0.35 only the caller does.
"""

from __future__ import annotations

from typing import Literal

from nearstream.wire.dialects.lmi.terms import Format, LmiTerms

Kind = Literal[
    "pieces", "outputs", "lines", "events", "whole", "array", "chat_lines", "chat_events", "chat_whole"
]
WHOLE: frozenset[Kind] = frozenset({"whole", "array", "chat_whole"})
# What streams, or does not, whatever the caller asks for.
_FORMATTERS: dict[str | None, Kind] = {
    "jsonlines": "lines",
    "sse": "events",
    "json_chat": "chat_whole",
    "jsonlines_chat": "chat_lines",
    "sse_chat": "chat_events",
}
_FIRST: dict[str | None, Kind] = {"jsonlines": "outputs", "sse": "events"}


def chosen(terms: LmiTerms, requested: str | None, *, streams: bool) -> Kind:
    """`requested` is the formatter that the body names, which comes before the operator's."""
    release, form = terms.release, terms.form
    formatter, streams = requested or form.formatter, streams and release.stream_key
    if release.generation == 3:  # noqa: PLR2004 - a name, not a number
        return _streamed(form, formatter) if streams else "whole"
    settled = (_FIRST if release.generation == 1 else _FORMATTERS).get(formatter)
    if settled is not None:
        return settled
    if not form.rolling_batch:
        return _unbatched(form, streams=streams)
    if release.generation == 1:
        return "outputs" if form.streams and formatter is None else "pieces"
    return _streamed(form, formatter) if streams and formatter is None else "whole"


def _streamed(form: Format, formatter: str | None) -> Kind:
    return "events" if formatter == "sse" or (form.tgi_compat and formatter is None) else "lines"


def _unbatched(form: Format, *, streams: bool) -> Kind:
    """Transformers' own loop, which knows no formatters."""
    if form.streams:
        return "outputs"
    return _streamed(form, None) if streams else "array"
