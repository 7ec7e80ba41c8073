"""A pipeline whose model answers nothing: with a tokenizer, it compiles grammars for all who share that."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import openvino
import openvino_genai as genai
from openvino import opset13 as ops
from openvino.op.util import Variable, VariableInfo


def uniform_pipeline(tokenizer: genai.Tokenizer, vocab_size: int) -> genai.LLMPipeline:
    """On the CPU. Its model has `vocab_size` logits."""
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
