"""The bodies of the routes on adapters, which are nearstream's own."""

from __future__ import annotations

from typing import Annotated

import msgspec

from nearstream.wire.dialects.shape import Shape

NAME = r"^[A-Za-z0-9_.:@/~-]+$"
MOST_NAME = 200
MOST_SOURCE = 4096


class AdapterBody(msgspec.Struct, frozen=True):
    """What is asked to be loaded: a folder on the server's machine, or a hub id, under a name."""

    name: Annotated[str, msgspec.Meta(pattern=NAME, max_length=MOST_NAME)]
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_SOURCE)]


class Adapter(Shape, frozen=True):
    """An adapter by the name that `adapter_id` or `model` asks for it with, and where it came from."""

    name: str
    source: str


class AdapterList(Shape, frozen=True):
    """Every adapter that can be asked for."""

    adapters: list[Adapter]
