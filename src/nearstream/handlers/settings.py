"""What a model with a handler of its own is served with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nearstream.handlers.confinement import Confinement


@dataclass(frozen=True, slots=True)
class HandlerSettings:
    """`model` is its name in logs and messages, `directory` holds model.py and whatever it reads.

    `properties` go to the handler's first call, `environment` is all that its process inherits. Environments
    made from a requirements.txt are kept under `cache`. Workers and the rest are DJL Serving's settings.
    """

    model: str
    directory: Path
    cache: Path
    entry_point: str = "model.py"
    handler: str = "handle"
    properties: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    installing: Mapping[str, str] = field(default_factory=dict)
    """What pip inherits besides, as it installs the requirements."""
    confinement: Confinement | None = None
    """What its processes are kept from; None: nothing, as the code of whoever runs the server."""
    min_workers: int = 1
    max_workers: int = 1
    max_idle_time_s: float = 60.0
    """After so long without a call, a worker above `min_workers` is ended."""
    adapters: tuple[tuple[str, str], ...] | None = None
    """Names and folders of the LoRA adapters that its handler is told of; None: it takes none."""
    batch_size: int = 1
    max_batch_delay_ms: int = 100
    job_queue_size: int = 1000
    """Calls that may wait while every worker is busy."""
    concurrent_calls: int = 64
    """Calls that one worker with an async handler works on at once."""
    loading_timeout_s: float = 240.0
    predict_timeout_s: float = 120.0
    """To the first bytes of an answer."""
    stream_timeout_s: float = 60.0
    """From one chunk of a stream to the next, while its reader waits."""
    install_timeout_s: float = 3600.0
    ahead_chunks: int = 8
    """Chunks of a stream that are made before their reader has taken them."""
    retry_threshold: int = 10
    """After so many deaths of its workers a model counts as unhealthy."""
    restart_delay_s: float = 0.2
    max_restart_delay_s: float = 30.0

    @property
    def requirements(self) -> Path:
        """The file that names the packages it needs; there may be none."""
        return self.directory / "requirements.txt"
