from __future__ import annotations

from nearstream.engines.openvino.properties import cpu_properties
from nearstream.engines.openvino.settings import OpenVINOSettings


def test_an_engine_with_a_share_of_the_cores_is_not_pinned_to_the_first(tmp_path):
    assert "ENABLE_CPU_PINNING" not in cpu_properties(OpenVINOSettings(tmp_path))
    assert cpu_properties(OpenVINOSettings(tmp_path, threads=2))["ENABLE_CPU_PINNING"] == "NO"
    pinned = OpenVINOSettings(tmp_path, threads=2, properties=(("ENABLE_CPU_PINNING", "YES"),))
    assert cpu_properties(pinned)["ENABLE_CPU_PINNING"] == "YES"


def test_the_cache_has_no_more_blocks_than_all_requests_can_fill(tmp_path):
    settings = OpenVINOSettings(
        tmp_path, kv_bytes_per_token=1024, context_tokens=64, max_seqs=4, kv_cache_bytes=1 << 30
    )
    assert settings.kv_blocks == 4 * 3
    assert settings.request_tokens == 64


def test_a_small_cache_bounds_a_request(tmp_path):
    settings = OpenVINOSettings(
        tmp_path, kv_bytes_per_token=1024, context_tokens=4096, kv_cache_bytes=32 * 1024 * 10
    )
    assert settings.request_tokens == 320
