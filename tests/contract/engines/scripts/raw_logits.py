"""Prints the logits that a model has for the token after some others: `raw_logits.py MODEL 5,6,7`.

With `all` as a third argument it prints a list of them, for the token after each. In a process of its own,
for OpenVINO is never loaded into the tests'.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import openvino

folder, told, *every = sys.argv[1:]
tokens = np.array([[int(token) for token in told.split(",")]], dtype=np.int64)
compiled = openvino.Core().compile_model(
    f"{folder}/openvino_model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
)
inputs = {
    "input_ids": tokens,
    "attention_mask": np.ones_like(tokens),
    "position_ids": np.arange(tokens.size, dtype=np.int64)[None],
    "beam_idx": np.zeros(1, dtype=np.int32),
}
logits = compiled.create_infer_request().infer(inputs)[0]
print(json.dumps((logits[0] if every else logits[0, -1]).tolist()))
