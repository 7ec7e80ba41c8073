"""`nearstream keys`: who may call this site."""

from __future__ import annotations

import asyncio
import getpass
import json as jsonlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from nearstream.cli.options import HomeOption, JsonOption, site
from nearstream.core.errors import Unusable
from nearstream.home.keys import Key, Keys, new_key
from nearstream.home.locks import locked

keys = App(name="keys", help="Show and change the keys that clients sign with.")

NameArgument = Annotated[str, Parameter(help="Name of the key.")]
ShowOption = Annotated[bool, Parameter(negative=(), help="Print secret keys, too.")]


@keys.command(name="list")
def list_keys(*, show_secret: ShowOption = False, home: HomeOption = None, json: JsonOption = False) -> None:
    """Show the site's keys: its own, and those that were added or imported."""
    _, place = site(home)
    _show(Keys(place.credentials(), place.keys_file).all(), secret=show_secret, json=json)


@keys.command
def add(
    name: NameArgument, *, show_secret: ShowOption = False, home: HomeOption = None, json: JsonOption = False
) -> None:
    """Make a new key. A site that runs takes it within a second."""
    made = new_key(name)
    _change(home, lambda found: found.add(made))
    _show([made], secret=show_secret, json=json)


@keys.command(name="import")
def import_key(
    name: NameArgument,
    *,
    access_key: Annotated[str, Parameter(help="The access key, as another site or AWS gave it out.")],
    secret_file: Annotated[
        Path | None, Parameter(help="File with the secret key (default: standard input).")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Take a key of another site, so that what it signs is good here, too.

    The secret key is read from a file or from standard input: a command line is for everyone to read.
    """
    key = Key(name, access_key, _secret(secret_file))
    _change(home, lambda found: found.add(key))
    _show([key], secret=False, json=False)


@keys.command
def remove(name: NameArgument, *, home: HomeOption = None) -> None:
    """Remove a key. A site that runs refuses it within a second."""
    _change(home, lambda found: found.remove(name))


def _change(home: Path | None, change: Callable[[Keys], None]) -> None:
    _, place = site(home)
    found = Keys(place.credentials(), place.keys_file)

    async def run() -> None:
        async with locked(place.keys_file.with_suffix(".lock")):
            change(found)

    asyncio.run(run())


def _secret(file: Path | None) -> str:
    if file is None:
        return getpass.getpass("Secret key: ") if sys.stdin.isatty() else sys.stdin.readline().strip()
    try:
        return file.read_text().strip()
    except OSError as error:
        raise Unusable(f"The secret key in {file} cannot be read: {error.strerror}.") from error


def _show(found: Sequence[Key], *, secret: bool, json: bool) -> None:
    if json:
        rows = [
            {"name": key.name, "access_key": key.access_key}
            | ({"secret_key": key.secret_key} if secret else {})
            for key in found
        ]
        print(jsonlib.dumps(rows, indent=2))
        return
    for key in found:
        print("  ".join([key.name, key.access_key, *([key.secret_key] if secret else [])]))
