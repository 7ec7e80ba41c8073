"""Writes grammars in a process with bounds on time and memory, and keeps a number of bytes of them."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Final

from nearstream.core.errors import Invalid
from nearstream.core.generation import Grammar
from nearstream.grammars.compiled import MOST_SOURCE_BYTES
from nearstream.grammars.rules import too_large
from nearstream.workers.bounded import BoundedWorker, Overstepped, WorkLimits, bounded_worker_on_demand

MODULE: Final = "nearstream.engines.grammars.worker"
LIMITS: Final = WorkLimits(time_s=10.0, processor_s=0.8, memory_bytes=1 << 29, max_waiting=64)
"""Processor time is the narrow one, so that a busy machine refuses nothing that an idle one takes."""
KEPT_BYTES: Final = 16 << 20


class GrammarProcess:
    """Made by `grammar_process`."""

    def __init__(self, worker: BoundedWorker, *, kept_bytes: int) -> None:
        self._worker = worker
        self._max_kept_bytes = kept_bytes
        self._kept: OrderedDict[bytes, asyncio.Future[bytes]] = OrderedDict()
        """Answers of the worker, also those that are yet to come."""
        self._kept_bytes = 0

    async def ebnf(self, grammar: Grammar) -> str:
        """The grammar as XGrammar reads it. Raises Invalid if it is refused, Overloaded if many wait."""
        if len(grammar.source) > MOST_SOURCE_BYTES:
            raise too_large(f"its text has more than {MOST_SOURCE_BYTES} bytes")
        body = json.dumps([grammar.kind, grammar.source]).encode()
        key = sha256(body).digest()
        answer = self._kept.get(key)
        if answer is None:
            answer = self._kept[key] = self._worker.submit(body)
            answer.add_done_callback(self._trim)
        self._kept.move_to_end(key)
        try:
            written, refusal = json.loads(await asyncio.shield(answer))
        except Overstepped as error:
            raise too_large(str(error)) from None
        if refusal is not None:
            raise Invalid(refusal)
        return str(written)

    def _trim(self, answer: asyncio.Future[bytes]) -> None:
        """Forget the answers that were used longest ago, and failures that say nothing of their grammar."""
        if _is_final(answer):
            self._kept_bytes += _size(answer)
        else:
            self._kept = OrderedDict((key, kept) for key, kept in self._kept.items() if kept is not answer)
        for key, kept in tuple(self._kept.items())[:-1]:
            if self._kept_bytes <= self._max_kept_bytes:
                break
            if kept.done():
                del self._kept[key]
                self._kept_bytes -= _size(kept)


def _is_final(answer: asyncio.Future[bytes]) -> bool:
    return not answer.cancelled() and isinstance(answer.exception(), Overstepped | None)


def _size(answer: asyncio.Future[bytes]) -> int:
    return 256 if answer.exception() else 256 + len(answer.result())


@asynccontextmanager
async def grammar_process(
    *, limits: WorkLimits = LIMITS, kept_bytes: int = KEPT_BYTES
) -> AsyncIterator[GrammarProcess]:
    """Its process is started by the first grammar, and again after one that overstepped."""
    async with bounded_worker_on_demand(MODULE, limits) as worker:
        yield GrammarProcess(worker, kept_bytes=kept_bytes)
