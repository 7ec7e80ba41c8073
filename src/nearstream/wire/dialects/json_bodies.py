"""JSON bodies to the types that dialects declare for them."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from nearstream.core.errors import Malformed, Misshapen

Count = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
Signed = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Seed = Annotated[int, msgspec.Meta(ge=0)]
"""Widths as TGI has them; that a seed has 64 bits is for the rules of a dialect."""
Body = TypeVar("Body")


def decode(body: bytes, shape: type[Body]) -> Body:
    """Raises Malformed for what is not JSON, Misshapen for JSON that does not fit `shape`."""
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise Misshapen(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(str(error)) from error
