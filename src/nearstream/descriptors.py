"""File descriptors of this process: how many it may have, and which errors mean that they ran out."""

from __future__ import annotations

import errno
import resource
from typing import Final

import structlog

SHORTAGES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""Errors that say nothing about what was looked for, only that this machine could not look."""

_log = structlog.get_logger(__name__)


def is_shortage(error: BaseException | None) -> bool:
    """Whether `error`, or what it was raised from, is a lack of descriptors or memory here."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        if isinstance(error, OSError) and error.errno in SHORTAGES:
            return True
        error = error.__cause__
    return False


def raise_limit() -> int:
    """Raise the soft limit of descriptors to the hard one; the limit that holds now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:  # macOS allows less than its hard limit says
            _log.debug("the limit of descriptors stays", limit=soft, error=str(error))
    return allowed()


def allowed() -> int:
    """How many descriptors this process may have open."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return UNLIMITED if soft == resource.RLIM_INFINITY else soft


UNLIMITED: Final = 1 << 20
"""What stands for a limit that is none."""
