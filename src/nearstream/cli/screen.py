"""What `nearstream up` shows: lines for a person, or one JSON object an event for a script."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict

from nearstream.cli.invoke import Measured, show
from nearstream.config.settings import Settings

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class Screen:
    """Writes to standard output; a spinner only where a terminal shows it."""

    def __init__(self, *, as_json: bool) -> None:
        self._json = as_json
        self._live = not as_json and sys.stdout.isatty()
        self._started = time.monotonic()

    def starting(self, settings: Settings) -> None:
        """The front door listens; the model is still loading."""
        self._event("starting", url=settings.url)
        self._line(f"nearstream listens on {settings.url}, home {settings.home}")

    def progress(self, status: str) -> None:
        """The endpoint is not ready yet."""
        if self._live:
            waited_s = time.monotonic() - self._started
            turn = SPINNER[int(waited_s * 10) % len(SPINNER)]
            print(f"\r{turn} endpoint assistant: {status}, {waited_s:.0f} s ", end="", flush=True)

    def ready(self, prompt: str) -> None:
        """The endpoint is InService; its first answer follows."""
        if self._live:
            print("\r\033[K", end="")
        self._line(f"endpoint assistant is InService after {time.monotonic() - self._started:.1f} s\n")
        self._line(f"you>       {prompt}")
        if not self._json:
            print("assistant> ", end="", flush=True)

    def piece(self, text: str) -> None:
        """One piece of the first answer."""
        if not self._json:
            show(text)

    def answered(self, settings: Settings, measured: Measured) -> None:
        """The first answer is whole: say how fast it was and how code gets there."""
        self._event("ready", url=settings.url, endpoint="assistant", first_answer=asdict(measured))
        home = "" if settings.home == Settings().home else f" --home {settings.home}"
        command = sys.argv[0]
        self._line(
            f"\n           {measured}\n\n"
            f"In another shell:\n"
            f'  eval "$({command} env{home})"\n'
            f'  {command} invoke assistant "What is a replica?"{home}\n'
            f"  {command} chat{home}\n"
            f"Ctrl-C stops everything."
        )

    def stopping(self) -> None:
        """A signal came."""
        self._event("stopping")
        self._line("\nStopping …")

    def _line(self, text: str) -> None:
        if not self._json:
            print(text, flush=True)

    def _event(self, name: str, **fields: object) -> None:
        if self._json:
            print(json.dumps({"event": name, **fields}), flush=True)
