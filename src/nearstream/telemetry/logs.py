"""Where log lines go and how they look: one line an event, a constant message with fields."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TextIO, cast

import structlog

from nearstream.telemetry.log_file import LogFile


def to_stream(stream: TextIO = sys.stderr, level: str = "info", *, json: bool = False) -> None:
    """Write log lines to a stream, as text or as JSON."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.processors.LogfmtRenderer(
            key_order=["timestamp", "level", "event"], bool_as_flag=False
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(
        stream=stream, level=level.upper(), format="level=%(levelname)s logger=%(name)s event=%(message)s"
    )


def to_file(path: Path, level: str = "info") -> None:
    """Append log lines to a file, which keeps one of its size before it. Raises OSError."""
    to_stream(cast("TextIO", LogFile(path)), level)


def to_logging() -> None:
    """Hand log lines to Python's logging, inside a program that has not set up structlog itself."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
