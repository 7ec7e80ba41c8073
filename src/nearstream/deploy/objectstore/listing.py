"""Lists a bucket as S3 does: in the order of bytes, below a prefix, grouped at a delimiter, page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from nearstream.deploy.objectstore.records import Listing, Page, Row

Range = Callable[[bytes, bytes | None], Iterator[Row]]
"""The objects whose keys are at least the first and less than the second, in order."""

# Greater than any byte of UTF-8: what begins with `x` is less than `x` and this.
_ABOVE = b"\xff"


def page(objects: Range, listing: Listing) -> Page:
    """One page; it asks for ranges, so that what a common prefix covers is passed over, not read."""
    rows: list[Row] = []
    prefixes: list[str] = []
    last = ""
    found = _entries(objects, listing) if listing.most else iter(())
    for entry in found:
        if len(rows) + len(prefixes) == listing.most:
            return Page(rows, prefixes, is_truncated=True, last=last)
        if isinstance(entry, Row):
            rows.append(entry)
            last = entry.key
        else:
            prefixes.append(entry)
            last = entry
    return Page(rows, prefixes, last=last)


def _entries(objects: Range, listing: Listing) -> Iterator[Row | str]:
    prefix = listing.prefix.encode()
    before = prefix + _ABOVE if prefix else None
    first: bytes | None = prefix
    if listing.after is not None:
        first = max(prefix, listing.after.encode() + b"\0")
    while first is not None:
        start, first = first, None
        for row in objects(start, before):
            common = common_prefix(row.key, listing)
            if common is None:
                yield row
                continue
            if common != listing.after:
                yield common
            first = common.encode() + _ABOVE
            break


def common_prefix(key: str, listing: Listing) -> str | None:
    """A key up to the delimiter after the prefix, which it may share with others; None: it has none."""
    if not listing.delimiter:
        return None
    at = key.find(listing.delimiter, len(listing.prefix))
    return None if at < 0 else key[: at + len(listing.delimiter)]
