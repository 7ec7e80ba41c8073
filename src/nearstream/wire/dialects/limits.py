"""How much one request may ask for."""

from __future__ import annotations

from dataclasses import dataclass

from nearstream.core.errors import Unusable


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a request may ask for, under TGI's names."""

    max_input_tokens: int = 4095
    max_total_tokens: int = 4096
    max_best_of: int = 2
    max_stop_sequences: int = 4
    max_top_n_tokens: int = 5
    max_client_batch_size: int = 4
    max_concurrent_requests: int = 128
    payload_limit_bytes: int = 2_000_000

    def __post_init__(self) -> None:
        if self.max_input_tokens >= self.max_total_tokens:
            raise Unusable(
                f"`max_input_tokens`({self.max_input_tokens}) must be < "
                f"`max_total_tokens`({self.max_total_tokens})"
            )
