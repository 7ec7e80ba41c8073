"""What the OpenVINO engine is started with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

KV_BLOCK_TOKENS = 32
"""Tokens in one block of OpenVINO's paged KV cache on CPUs."""

_UNKNOWN_KV_BYTES_PER_TOKEN = 128 * 1024
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def memory_limit_bytes() -> int:
    """The memory this process may use: the machine's, or its cgroup's where that is less."""
    machine = int(psutil.virtual_memory().total)
    try:
        limit = _CGROUP_LIMIT.read_text().strip()
    except OSError:
        return machine
    return min(machine, int(limit)) if limit.isdigit() else machine


def default_kv_cache_bytes() -> int:
    """A quarter of the memory, at most 8 GiB. It is committed page by page as tokens fill it."""
    return min(memory_limit_bytes() // 4, 8 << 30)


@dataclass(frozen=True, slots=True)
class OpenVINOSettings:
    """How to load one model and how much to take on at once.

    `model` is a folder with openvino_model.xml, or a GGUF file. `kv_bytes_per_token`, `context_tokens` and
    `vocab_size` describe the model where known. `max_seqs` requests run together, `max_waiting` more queue.
    `threads` None: one for each core. `properties` go to OpenVINO's CPU plugin as they are. `adaptable` names
    the modules that adapters may change, each with its numbers of outputs and inputs; `adapter_pipelines`
    adapters at most answer at the same time, each for about as much memory as the model's weights take.
    `grammar_bytes`: what the compiled grammars of one pipeline may take.
    """

    model: Path
    kv_bytes_per_token: int | None = None
    context_tokens: int | None = None
    vocab_size: int | None = None
    kv_cache_bytes: int = field(default_factory=default_kv_cache_bytes)
    max_batched_tokens: int = 512
    max_seqs: int = 64
    max_waiting: int = 256
    threads: int | None = None
    prefix_caching: bool = True
    properties: tuple[tuple[str, str], ...] = ()
    adaptable: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    adapter_pipelines: int = 1
    grammar_bytes: int = 1 << 29
    start_timeout_s: float = 900.0
    restart_delay_s: float = 0.2
    max_restart_delay_s: float = 30.0

    @property
    def kv_blocks(self) -> int:
        """Blocks that `kv_cache_bytes` pays for, no more than every running request could fill."""
        per_token = self.kv_bytes_per_token or _UNKNOWN_KV_BYTES_PER_TOKEN
        blocks = max(self.kv_cache_bytes // (per_token * KV_BLOCK_TOKENS), 1)
        if self.context_tokens is None:
            return blocks
        return min(blocks, self.max_seqs * (-(-self.context_tokens // KV_BLOCK_TOKENS) + 1))

    @property
    def adapter_kv_blocks(self) -> int:
        """Blocks of one adapter pipeline: a quarter of the model's, and enough for the longest request."""
        return min(self.kv_blocks, max(self.kv_blocks // 4, -(-self.request_tokens // KV_BLOCK_TOKENS) + 1))

    @property
    def request_tokens(self) -> int:
        """Prompt and answer together can be this long: what the cache holds, or the model's context."""
        cached = self.kv_blocks * KV_BLOCK_TOKENS
        return cached if self.context_tokens is None else min(cached, self.context_tokens)
