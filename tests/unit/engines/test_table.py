"""Engines by name: one that is not there is refused, and none is imported before it is chosen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nearstream.core.errors import Unusable
from nearstream.engines.settings import EngineSettings
from nearstream.engines.table import ENGINES, engine_kind


def test_an_engine_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(Unusable, match="there is no engine 'warp'; one of openvino is wanted"):
        engine_kind("warp")


def test_the_engine_that_is_configured_by_default_is_there():
    from nearstream.config.settings import Settings  # noqa: PLC0415 - beside what it is held against

    assert engine_kind(Settings().engine).formats == {"ir", "gguf"}


@pytest.mark.parametrize("kind", ENGINES.values(), ids=ENGINES)
def test_before_it_loads_an_engine_tells_how_long_a_request_may_be(kind, tmp_path: Path):
    prepared = kind.prepare(EngineSettings(tmp_path, context_tokens=512, kv_bytes_per_token=1024))
    assert prepared.request_tokens == 512


def test_the_table_imports_no_engine():
    script = (
        "import sys; import nearstream.engines.table; "
        "print([name for name in sys.modules if name.startswith(('openvino', 'nearstream.engines.'))])"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "['nearstream.engines.settings', 'nearstream.engines.table']"
