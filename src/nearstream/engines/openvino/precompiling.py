"""Compiles grammars beside the steps of a batch: XGrammar would do it within the step that first needs one.

XGrammar keeps what it has compiled with the tokenizer. So a second pipeline with the same tokenizer, whose
model answers nothing, makes one token under the grammar on a thread; after that the batch finds it compiled.
XGrammar forgets nothing, so there is a bound on the memory of all grammars, beyond which none is compiled.
"""

from __future__ import annotations

import concurrent.futures
import ctypes
import os
import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np
import openvino
import openvino_genai as genai
import psutil

from nearstream.engines.openvino.frames import Failure, Load
from nearstream.engines.openvino.recovery import Request, reason_of
from nearstream.engines.openvino.uniform import uniform_pipeline

_BEHIND = 10
"""How much less than the batch's threads it may claim of a processor, as `nice` counts it."""
_KEPT = 1 << 16
_POLL_S = 0.005
MODEL_FILE = "openvino_model.xml"
TOKENIZER_FILE = "openvino_tokenizer.xml"
_ANY_GRAMMAR = 'root ::= "0"'


class MemoryFull(Exception):
    """What has been compiled takes all the memory that there is for grammars."""


class Precompiler:
    """One grammar after another, on a thread of its own, which begins with the first."""

    def __init__(self, tokenizer: genai.Tokenizer, vocab_size: int, *, max_bytes: int) -> None:
        self._tokenizer = tokenizer
        self._vocab_size = vocab_size
        self._max_bytes = max_bytes
        self._bytes = 0
        self._full = False
        self._pipeline: genai.LLMPipeline | None = None
        self._thread = ThreadPoolExecutor(1, initializer=_step_back)
        self._compiling: OrderedDict[bytes, Future[None]] = OrderedDict()

    @property
    def full(self) -> bool:
        """Whether the grammars that were compiled take as much memory as they may.

        It stays so: what is measured includes what the batch allocates and frees meanwhile.
        """
        self._full |= self._bytes >= self._max_bytes
        return self._full

    def start(self, grammar: str) -> Future[None]:
        """Compile a grammar, if it is not yet; its result raises RuntimeError where it cannot be used.

        Raises MemoryFull for one that is not compiled, once there is no memory for it.
        """
        key = sha256(grammar.encode()).digest()
        found = self._compiling.get(key)
        if found is None:
            if self.full:
                raise MemoryFull(
                    f"the grammars in use take {self._max_bytes >> 20} MiB, so no new one can be used before "
                    "the engine has been idle"
                )
            found = self._compiling[key] = self._thread.submit(self._measured, grammar)
            if len(self._compiling) > _KEPT:
                self._compiling.popitem(last=False)
        return found

    def _measured(self, grammar: str) -> None:
        before = _allocated_bytes()
        try:
            self._compile(grammar)
        finally:
            self._bytes += _allocated_bytes() - before

    def _compile(self, grammar: str) -> None:
        if self._pipeline is None:
            self._pipeline = uniform_pipeline(self._tokenizer, self._vocab_size)
        config = genai.GenerationConfig()
        config.max_new_tokens = 1
        config.ignore_eos = True
        config.structured_output_config = genai.StructuredOutputConfig(grammar=grammar)
        self._pipeline.generate(openvino.Tensor(np.ones((1, 1), dtype=np.int64)), config)


def precompiler_of(
    wanted: Load, pipeline: genai.ContinuousBatchingPipeline, vocab_size: int | None
) -> Precompiler | None:
    """Ready for its first grammar. None without a tokenizer of OpenVINO's, or the number of the logits."""
    path = Path(wanted.model)
    if vocab_size is None or not (path.suffix == ".gguf" or (path / TOKENIZER_FILE).is_file()):
        return None
    precompiler = Precompiler(pipeline.get_tokenizer(), vocab_size, max_bytes=wanted.grammar_bytes)
    precompiler.start(_ANY_GRAMMAR).result()
    return precompiler


def vocabulary_of(wanted: Load) -> int | None:
    """The size of the model's vocabulary: the number of logits in its own file, or what the settings name."""
    path = Path(wanted.model, MODEL_FILE)
    if not path.is_file():
        return wanted.vocab_size
    logits = openvino.Core().read_model(path).output("logits").partial_shape[-1]
    return int(logits.get_length()) if logits.is_static else wanted.vocab_size


class Compiling:
    """The requests whose grammar is being compiled; they join the batch after that."""

    def __init__(self, precompiler: Precompiler | None) -> None:
        self._precompiler = precompiler
        self._requests: list[tuple[Request, Future[None]]] = []

    @property
    def busy(self) -> bool:
        return bool(self._requests)

    @property
    def full(self) -> bool:
        """Whether no other grammar can be compiled."""
        return self._precompiler is not None and self._precompiler.full

    def takes(self, request: Request) -> bool:
        """Whether a request has a grammar that is compiled here."""
        return self._precompiler is not None and request.grammar is not None

    def add(self, request: Request) -> None:
        if self._precompiler is not None and request.grammar is not None:
            self._requests.append((request, self._precompiler.start(request.grammar)))

    def cancel(self, request_id: int) -> bool:
        """Forget a request; whether it was here."""
        before = len(self._requests)
        self._requests = [one for one in self._requests if one[0].id != request_id]
        return len(self._requests) < before

    def done(self, *, wait: bool) -> tuple[list[Request], list[Failure]]:
        """Those that can join, and those whose grammar cannot be used. With `wait`, wait a little for one."""
        if wait and self._requests:
            futures = [compiled for _, compiled in self._requests]
            concurrent.futures.wait(futures, timeout=_POLL_S, return_when="FIRST_COMPLETED")
        ready = [one for one in self._requests if one[1].done()]
        self._requests = [one for one in self._requests if one not in ready]
        failures = [
            Failure(request.id, "invalid", f"the grammar cannot be used: {reason_of(error)}")
            for request, compiled in ready
            if isinstance(error := compiled.exception(), Exception)
        ]
        return [request for request, compiled in ready if compiled.exception() is None], failures


class _MallInfo(ctypes.Structure):
    """mallinfo(3): `hblkhd` counts bytes of blocks with a mapping of their own, `uordblks` of all others."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
                     "fordblks", "keepcost")
    ]  # fmt: skip


def _allocated_bytes() -> int:
    """What the process has allocated: the cache of keys and values counts in full before it is filled."""
    try:
        mallinfo = ctypes.CDLL(None).mallinfo2
    except AttributeError:  # a C library other than glibc, or one before 2.33
        return int(psutil.Process().memory_info().rss)
    mallinfo.restype = _MallInfo
    info = mallinfo()
    return int(info.uordblks + info.hblkhd)


def _step_back() -> None:
    """The thread, and those that XGrammar starts from it, give way to the batch."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _BEHIND)
