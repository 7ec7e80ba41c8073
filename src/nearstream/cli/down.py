"""`nearstream down`: stop the site of a home, and what a crashed front door left running."""

from __future__ import annotations

import asyncio
import os
import signal
import time

from nearstream.cli.options import HomeOption, site
from nearstream.compose.site import stop_left
from nearstream.core.errors import Unusable
from nearstream.telemetry import logs

STOP_TIMEOUT_S = 60.0
POLL_S = 0.05


def down(*, home: HomeOption = None) -> None:
    """Stop the front door and its replicas; what they hold stays for the next `up`."""
    _, place = site(home)
    logs.to_stream(level="error")
    running = place.running()
    if running is not None:
        os.kill(running.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while place.running() is not None:
            if time.monotonic() > deadline:
                raise Unusable(
                    f"The front door (process {running.pid}) did not end within {STOP_TIMEOUT_S:.0f} s."
                )
            time.sleep(POLL_S)
    # A front door that was killed leaves replicas and store running for the next one; here there is none.
    left = asyncio.run(stop_left(place)) if place.path.exists() else 0
    if running is None and not left:
        print(f"Nothing runs on {place.path}.")
    else:
        print("Stopped." if running else f"Stopped {left} process(es) that a front door had left running.")
