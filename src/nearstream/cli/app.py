"""The command line: which words run what, and what an exit code means."""

from __future__ import annotations

import sys
from importlib.metadata import version

from cyclopts import App

from nearstream.core.errors import Conflict, Missing, NearstreamError, Unfit, Unusable
from nearstream.core.replicas import UNFIT_EXIT

# What a script may rely on; 2 is a wrong option, 130 an interrupt.
EXIT_CODES: dict[type[NearstreamError], int] = {
    Unfit: UNFIT_EXIT,
    Unusable: 3,
    Conflict: 4,
    Missing: 5,
}
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130

COMMANDS = {
    "up": "Start everything and create the endpoint `assistant`.",
    "down": "Stop the front door and its replicas.",
    "status": "Show endpoints and replicas.",
    "logs": "Print the container logs of an endpoint.",
    "env": "Print variables that point AWS code here.",
    "keys": "Show and change the keys that clients sign with.",
    "invoke": "Stream one answer, with its TTFT.",
    "chat": "Talk with an endpoint.",
    "serve": "Run one model server.",
    "convert": "Turn a checkpoint into what the engine loads.",
}


def build() -> App:
    """The `nearstream` command; each subcommand's module is imported when it is called."""
    app = App(
        name="nearstream",
        help="Real-time LLM endpoints with response streaming, close to their users.",
        version=version("nearstream"),
        default_parameter=None,
    )
    for name, says in COMMANDS.items():
        app.command(f"nearstream.cli.{name}:{name}", name=name, help=says)
    return app


def main() -> None:
    """Run the command line; a failure is one sentence on standard error and a code that says which kind."""
    try:
        build()()
    except NearstreamError as error:
        print(f"nearstream: {error}", file=sys.stderr)
        sys.exit(next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), EXIT_FAILED))
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has left, as `| head` does.
        sys.stderr.close()
        sys.exit(EXIT_FAILED)
