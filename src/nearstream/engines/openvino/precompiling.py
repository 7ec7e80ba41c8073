"""Compiles grammars beside the steps of a batch: XGrammar would do it within the step that first needs one.

XGrammar keeps what it has compiled with the tokenizer. So a second pipeline with the same tokenizer, whose
model answers nothing, makes one token under the grammar on a thread; after that the batch finds it compiled.
"""

from __future__ import annotations

import concurrent.futures
import os
import tempfile
import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openvino
import openvino_genai as genai
from openvino import opset13 as ops
from openvino.op.util import Variable, VariableInfo

from nearstream.engines.openvino.frames import Failure
from nearstream.engines.openvino.recovery import Request, reason_of

_BEHIND = 10
"""How much less than the batch's threads it may claim of a processor, as `nice` counts it."""
_KEPT = 4096
_POLL_S = 0.005
_ANY_GRAMMAR = 'root ::= "0"'


class Precompiler:
    """One grammar after another, on a thread of its own, which begins with the first."""

    def __init__(self, tokenizer: genai.Tokenizer, vocab_size: int) -> None:
        self._tokenizer = tokenizer
        self._vocab_size = vocab_size
        self._pipeline: genai.LLMPipeline | None = None
        self._thread = ThreadPoolExecutor(1, initializer=_step_back)
        self._compiling: OrderedDict[str, Future[None]] = OrderedDict()

    def start(self, grammar: str) -> Future[None]:
        """Compile a grammar, if it is not yet; its result raises RuntimeError where it cannot be used."""
        found = self._compiling.get(grammar)
        if found is None:
            found = self._compiling[grammar] = self._thread.submit(self._compile, grammar)
            if len(self._compiling) > _KEPT:
                self._compiling.popitem(last=False)
        return found

    def _compile(self, grammar: str) -> None:
        if self._pipeline is None:
            self._pipeline = _pipeline(self._tokenizer, self._vocab_size)
        config = genai.GenerationConfig()
        config.max_new_tokens = 1
        config.ignore_eos = True
        config.structured_output_config = genai.StructuredOutputConfig(grammar=grammar)
        self._pipeline.generate(openvino.Tensor(np.ones((1, 1), dtype=np.int64)), config)


def precompiler_of(pipeline: genai.ContinuousBatchingPipeline, vocab_size: int | None) -> Precompiler | None:
    """Ready for its first grammar. None where it is not known how many tokens the model tells apart."""
    if vocab_size is None:
        return None
    precompiler = Precompiler(pipeline.get_tokenizer(), vocab_size)
    precompiler.start(_ANY_GRAMMAR).result()
    return precompiler


class Compiling:
    """The requests whose grammar is being compiled; they join the batch after that."""

    def __init__(self, precompiler: Precompiler | None) -> None:
        self._precompiler = precompiler
        self._requests: list[tuple[Request, Future[None]]] = []

    @property
    def busy(self) -> bool:
        return bool(self._requests)

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


def _step_back() -> None:
    """The thread, and those that XGrammar starts from it, give way to the batch."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _BEHIND)


def _pipeline(tokenizer: genai.Tokenizer, vocab_size: int) -> genai.LLMPipeline:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.xml")
        openvino.save_model(_model(vocab_size), path)
        weights = openvino.Tensor(np.fromfile(path.with_suffix(".bin"), dtype=np.uint8))
        return genai.LLMPipeline(path.read_text(), weights, tokenizer, "CPU", ATTENTION_BACKEND="SDPA")


def _model(vocab_size: int) -> openvino.Model:
    """A model to which each token is as likely as any other, whatever it is given."""
    ids = _input("input_ids", [-1, -1], openvino.Type.i64)
    mask = _input("attention_mask", [-1, -1], openvino.Type.i64)
    beam = _input("beam_idx", [-1], openvino.Type.i32)
    zero = ops.constant(np.float32(0))
    nothing = [
        ops.multiply(ops.convert(one, "f32"), zero)
        for one in (
            ops.unsqueeze(ids, _numbers(2)),
            ops.reduce_sum(mask, _numbers(0, 1)),
            ops.reduce_sum(beam, _numbers(0)),
        )
    ]
    logits = ops.constant(np.zeros((1, 1, vocab_size), dtype=np.float32))
    for part in nothing:
        logits = ops.add(logits, part)
    logits.output(0).get_tensor().set_names({"logits"})
    info = VariableInfo()
    info.data_shape, info.data_type, info.variable_id = (
        openvino.PartialShape([-1, 1, -1, 1]),
        openvino.Type.f32,
        "past",
    )
    past = Variable(info)
    read = ops.gather(
        ops.read_value(ops.constant(np.zeros((1, 1, 0, 1), dtype=np.float32)), past),
        beam,
        ops.constant(np.int64(0)),
    )
    new = ops.unsqueeze(ops.convert(ids, "f32"), _numbers(1, 3))
    kept = ops.assign(ops.concat([read, new], axis=2), past)
    return openvino.Model([ops.result(logits)], [kept], [ids, mask, beam], "uniform")


def _input(name: str, shape: list[int], kind: openvino.Type) -> openvino.Node:
    found = ops.parameter(shape, kind, name=name)
    found.output(0).get_tensor().set_names({name})
    return found


def _numbers(*values: int) -> openvino.Node:
    return ops.constant(np.array(values, dtype=np.int64))
