"""Which of LMI's wires a model speaks: by its entry point and mode, else by its release."""

from __future__ import annotations

from pathlib import Path

import pytest

from nearstream.config.serving.read import read_serving
from nearstream.replica.lmi.model_settings import wire_release
from nearstream.wire.dialects.lmi.terms import lmi_release

VLLM = "option.entryPoint=djl_python.lmi_vllm.vllm_async_service"
TRTLLM = "option.entryPoint=djl_python.lmi_trtllm.trtllm_async_service"
ASYNC, SYNC = "option.async_mode=true", "option.async_mode=false"


@pytest.mark.parametrize(
    ("version", "lines", "generation"),
    [
        ("0.25.0", "", 1),
        ("0.34.0", "", 2),
        ("0.36.0", "", 3),
        ("0.36.0", "option.rolling_batch=auto", 3),
        ("0.33.0", VLLM, 3),
        ("0.34.0", TRTLLM, 3),
        ("0.34.0", ASYNC, 3),
        ("0.34.0", f"{VLLM}\n{ASYNC}\noption.rolling_batch=disable", 3),
        ("0.36.0", f"{VLLM}\n{ASYNC}\noption.rolling_batch=disable", 3),
        ("0.36.0", "option.rolling_batch=vllm", 2),
        ("0.36.0", "option.rolling_batch=lmi-dist", 2),
        ("0.36.0", "option.rolling_batch=trtllm", 2),
        ("0.36.0", "option.rolling_batch=disable", 2),
        ("0.36.0", SYNC, 2),
        ("0.36.0", "batch_size=4", 2),
        ("0.36.0", f"option.rolling_batch=vllm\n{ASYNC}", 3),
        ("0.25.0", "option.rolling_batch=vllm", 1),
    ],
)
def test_entry_point_and_mode_say_which_wire_a_model_speaks(
    tmp_path: Path, version: str, lines: str, generation: int
):
    (tmp_path / "serving.properties").write_text(f"option.model_id=builtin\n{lines}\n")
    serving, _ = read_serving(tmp_path, {}, version=version)
    found = wire_release(lmi_release(version), serving)
    assert (found.generation, found.by_body) == (generation, generation == 3)
    assert found.version == version
