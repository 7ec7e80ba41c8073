"""Lets a test talk with a client in another environment: one line of JSON in, one line of JSON out."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping


def converse(clients: Mapping[str, object]) -> None:
    """A line names a client, what it is to do and where: `{"client": …, "do": …, "url": …}`.

    The answer holds what came of it, or which exception was raised and its words.
    """
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = {"came": getattr(clients[asked["client"]], asked["do"])(asked["url"])}
        except Exception as error:  # noqa: BLE001 - which one is the answer
            answer = {"raised": type(error).__name__, "words": str(error)}
        print(json.dumps(answer), flush=True)
