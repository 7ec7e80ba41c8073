"""`nearstream convert`: a Hugging Face checkpoint to what the CPU engine loads, ahead of its first use."""

from __future__ import annotations

import asyncio
import json as jsonlib
import sys
from typing import Annotated, Literal

from cyclopts import Parameter

from nearstream.cli.options import HomeOption, JsonOption, site
from nearstream.models.resolve import resolve


def convert(
    model: Annotated[str, Parameter(help="A hub id (org/name, org/name@revision) or a checkpoint's folder.")],
    *,
    weights: Annotated[Literal["fp16", "int8", "int4"], Parameter(help="Format of the weights.")] = "fp16",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Fetch MODEL if it is a hub id, convert it to OpenVINO IR, keep the result in the home's cache.

    The converter has an environment of its own, made at its first use; it needs torch, about 3 GB.
    """
    _, place = site(home)
    place.create()
    found = asyncio.run(
        resolve(model, formats=("ir", "gguf"), cache=place.cache, weights=weights, progress=_tell)
    )
    if json:
        print(jsonlib.dumps({"model": model, "path": str(found.path), "kind": found.kind}))
    else:
        print(found.path)


def _tell(text: str) -> None:
    print(text, file=sys.stderr)
