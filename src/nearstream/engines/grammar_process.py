"""Writes grammars in a process of their own, within bounds of time and memory, and ended beyond them.

Reads a JSON line `[kind, source]` from its standard input for each grammar and answers with a line
`[EBNF, null]` or `[null, refusal]`. What it wrote is kept, up to a number of bytes.
"""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import sys
from collections import OrderedDict
from hashlib import sha256

from nearstream.core.errors import Invalid, Overloaded
from nearstream.core.generation import Grammar
from nearstream.grammars.compiled import MOST_SOURCE_BYTES, compiled
from nearstream.grammars.rules import too_large

WRITE_LIMIT_S = 0.8
"""Of a processor's time, so that a busy machine refuses nothing that an idle one takes."""
ANSWER_LIMIT_S = 10.0
START_LIMIT_S = 20.0
_MEMORY_BYTES = 1 << 29
_MEMORY = f"it takes more than {_MEMORY_BYTES >> 20} MiB of memory to read"
_KEPT_BYTES = 16 << 20
_MOST_WAITING = 64
_LINE_BYTES = 1 << 22
_MODULE = "nearstream.engines.grammar_process"


class GrammarProcess:
    """Writes grammars one after another. Started with the first, and again after one that overstepped."""

    def __init__(self, *, limit_s: float = ANSWER_LIMIT_S) -> None:
        self._limit_s = limit_s
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._process: asyncio.subprocess.Process | None = None
        self._kept: OrderedDict[bytes, str | Invalid] = OrderedDict()
        self._kept_bytes = 0

    async def ebnf(self, grammar: Grammar) -> str:
        """The grammar as XGrammar reads it. Raises Invalid if it is refused, Overloaded if many wait."""
        if len(grammar.source) > MOST_SOURCE_BYTES:
            raise too_large(f"its text has more than {MOST_SOURCE_BYTES} bytes")
        key = sha256(f"{grammar.kind}:{grammar.source}".encode()).digest()
        if key not in self._kept:
            if self._waiting >= _MOST_WAITING:
                raise Overloaded(f"{self._waiting} grammars wait to be written")
            self._waiting += 1
            try:
                async with self._turn:
                    if key not in self._kept:
                        self._keep(key, await self._written(grammar))
            finally:
                self._waiting -= 1
        self._kept.move_to_end(key)
        kept = self._kept[key]
        if isinstance(kept, Invalid):
            raise Invalid(str(kept))
        return kept

    async def aclose(self) -> None:
        """End the process. Safe to repeat."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()

    async def _written(self, grammar: Grammar) -> str | Invalid:
        try:
            stdin, stdout = await self._pipes()
            stdin.write(json.dumps([grammar.kind, grammar.source]).encode() + b"\n")
            async with asyncio.timeout(self._limit_s):
                line = await stdout.readline()
            if line:
                written, refusal = json.loads(line)
                return str(written) if refusal is None else Invalid(refusal)
            how = "its process ended while it was read"
        except TimeoutError:
            how = f"it takes more than {self._limit_s:g} s to read"
        except BaseException:  # half a line may be in the pipes
            await self.aclose()
            raise
        await self.aclose()
        return too_large(how)

    async def _pipes(self) -> tuple[asyncio.StreamWriter, asyncio.StreamReader]:
        """Of a process that has started and waits for a line."""
        process = self._process
        if process is None or process.returncode is not None:
            pipe = asyncio.subprocess.PIPE
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", _MODULE, stdin=pipe, stdout=pipe,
                stderr=asyncio.subprocess.DEVNULL, limit=_LINE_BYTES,
            )  # fmt: skip
            if process.stdout is not None:
                async with asyncio.timeout(START_LIMIT_S):
                    await process.stdout.readline()
        if process.stdin is None or process.stdout is None:
            raise TypeError("the process has no pipes")
        return process.stdin, process.stdout

    def _keep(self, key: bytes, written: str | Invalid) -> None:
        self._kept[key] = written
        self._kept_bytes += len(str(written))
        while self._kept_bytes > _KEPT_BYTES and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= len(str(dropped))


def answer(line: str) -> str:
    """The answer to one line."""
    kind, source = json.loads(line)
    try:
        signal.setitimer(signal.ITIMER_PROF, WRITE_LIMIT_S)
        return json.dumps([compiled(Grammar(kind, source)).ebnf(), None])
    except Invalid as refused:
        return json.dumps([None, str(refused)])
    except MemoryError:
        return json.dumps([None, str(too_large(_MEMORY))])
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _out_of_time(_signal: int, _frame: object) -> None:
    raise too_large(f"it takes more than {WRITE_LIMIT_S:g} s to read")


def main() -> None:
    """Answer lines until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, _out_of_time)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(answer(line) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
