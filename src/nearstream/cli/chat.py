"""`nearstream chat`: a conversation in the terminal, streamed."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

from cyclopts import Parameter

from nearstream.cli.connection import connect_endpoint
from nearstream.cli.invoke import MaxNewTokens, measure, show
from nearstream.cli.options import HomeOption, site
from nearstream.core.errors import CallFailed
from nearstream.home.paths import Home

PROMPT = "you> "


def chat(
    endpoint: Annotated[str, Parameter(help="Name of the endpoint.")] = "assistant",
    *,
    system: Annotated[str | None, Parameter(help="A system prompt.")] = None,
    max_new_tokens: MaxNewTokens = 256,
    home: HomeOption = None,
) -> None:
    """Talk with an endpoint; an empty line or Ctrl-D ends it."""
    _, place = site(home)
    asyncio.run(_talk(place, endpoint, system, max_new_tokens))


async def _talk(place: Home, endpoint: str, system: str | None, max_new_tokens: int) -> None:
    turns = [{"role": "system", "content": system}] if system else []
    async with connect_endpoint(place, endpoint) as client:
        while line := await asyncio.to_thread(_read):
            turns.append({"role": "user", "content": line})
            try:
                measured = await measure(client.chat(turns, max_new_tokens=max_new_tokens), show=show)
            except CallFailed as error:
                print(f"nearstream: {error}", file=sys.stderr)
                turns.pop()
                continue
            turns.append({"role": "assistant", "content": measured.text})
            print()
            if sys.stderr.isatty():
                print(f"\033[2m{measured}\033[0m", file=sys.stderr)


def _read() -> str:
    try:
        return input(PROMPT if sys.stdin.isatty() else "").strip()
    except EOFError:
        return ""
