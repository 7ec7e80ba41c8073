"""`text-generation-launcher`: the command of TGI's containers, with its flags and variables."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import NoReturn

import structlog
import uvloop

from nearstream.compose.model_server import ServeOptions, model_server
from nearstream.config.launcher import FLAGS, LauncherSettings, launcher_settings
from nearstream.config.settings import load
from nearstream.core.aliases import apply_aliases
from nearstream.core.errors import Missing, NearstreamError, Unusable
from nearstream.models.weights import quantised_to
from nearstream.telemetry import logs
from nearstream.wire.dialects.hf.terms import LATEST

_log = structlog.get_logger(__name__)
_EXIT_FAILED = 1
SAGEMAKER = "serve"


def main(argv: Sequence[str] | None = None) -> None:
    """Serve one model until SIGTERM; what is wrong with the arguments is said as TGI says it."""
    words = list(sys.argv[1:] if argv is None else argv)
    sagemaker = words[:1] == [SAGEMAKER]
    given, unknown = _parser().parse_known_args(words[1:] if sagemaker else words)
    try:
        settings = launcher_settings(_by_variable(given), sagemaker=sagemaker)
    except Missing as error:
        print(error)
        sys.exit(_EXIT_FAILED)
    except Unusable as error:
        _fail(f'ArgumentValidation("{error}")')
    logs.to_stream(sys.stderr, settings.log_level, json=settings.json_output)
    _explain(settings, unknown)
    try:
        _serve(settings)
    except NearstreamError as error:
        _fail(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="text-generation-launcher",
        usage=f"text-generation-launcher [{SAGEMAKER}] [flags]",
        description="Serve one model with the flags and variables of Text Generation Inference. With "
        f"{SAGEMAKER}, as SageMaker starts containers: HF_MODEL_ID names the model, the port is 8080.",
        epilog="Each flag is also a variable: --max-total-tokens is MAX_TOTAL_TOKENS.",
        allow_abbrev=False,
    )
    about = f"text-generation-launcher {LATEST} (nearstream {version('nearstream')})"
    parser.add_argument("-V", "--version", action="version", version=about)
    parser.add_argument("-e", "--env", action="store_true", help=argparse.SUPPRESS)
    for flag in FLAGS:
        parser.add_argument(
            f"--{flag.name}",
            dest=flag.variable,
            metavar="VALUE",
            nargs="?" if flag.switch else None,
            const="true" if flag.switch else None,
            action="append",
            help=f"no effect: {flag.reason}" if flag.reason else None,
        )
    return parser


def _by_variable(given: argparse.Namespace) -> dict[str, str]:
    """What was given, by the variables that it stands for; of a flag given twice the last one counts."""
    found: dict[str, str] = {}
    for flag in FLAGS:
        values: list[str] | None = getattr(given, flag.variable)
        if values:
            found[flag.variable] = ",".join(values) if flag.repeated else values[-1]
    return found


def _explain(settings: LauncherSettings, unknown: Sequence[str]) -> None:
    """One line for each thing that was asked for and is not done."""
    for flag in settings.ignored:
        _log.info("flag without effect", flag=f"--{flag.name}", because=flag.reason)
    if settings.quantize and not quantised_to(settings.quantize):
        _log.info("flag without effect", flag="--quantize", because="checkpoints are read as they are")
    for word in unknown:
        if word.startswith("-"):
            _log.warning("flag unknown", flag=word.partition("=")[0])


def _serve(settings: LauncherSettings) -> None:
    site = load({})
    asked = settings.container.hf_model_id or "builtin"
    options = ServeOptions(
        model=apply_aliases(asked, site.aliases),
        model_id=asked,
        version=LATEST,
        host=settings.hostname,
        port=settings.port,
        uds=None,
        weights=quantised_to(settings.quantize) or "fp16",
        listens_when_warm=True,  # TGI's clients wait while connections are refused, and take 503 as final
    )
    signal.signal(signal.SIGTERM, _stop)
    uvloop.run(_stopped_by_sigterm(model_server(options, settings.container, site)))


async def _stopped_by_sigterm(server: Coroutine[None, None, None]) -> None:
    """SIGTERM cancels the loading of the model; once the server listens, it takes the signal itself."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine of the loop's own run
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with suppress(asyncio.CancelledError):
        await server


def _stop(number: int, frame: object) -> NoReturn:
    """Leave while the model is loading; a process that is a container's first has no such default."""
    sys.exit(0)


def _fail(what: str) -> NoReturn:
    print(f"Error: {what}", file=sys.stderr)
    sys.exit(_EXIT_FAILED)
