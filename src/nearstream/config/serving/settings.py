"""The configuration of a model of DJL Serving, and notices on settings that are ignored.

Defaults are those of LMI's containers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nearstream.config.serving.values import SWITCH
from nearstream.core.rates import Rate

DjlEngine = Literal["Python", "MPI"]
Formatter = Literal["json", "jsonlines", "sse", "json_chat", "jsonlines_chat", "sse_chat"]
Streaming = Literal["true", "false", "huggingface"]
NO_ROLLING_BATCH = "disable"
BUILTIN_HANDLERS = "djl_python."
OWN_HANDLER = "model.py"
ASYNC_SERVICES = ("vllm_async_service", "trtllm_async_service")
"""Entry points whose answers are vLLM's own."""


@dataclass(frozen=True, slots=True)
class ServingSettings:
    """One model's settings. `directory` holds serving.properties or the model; None: there is no model data.

    `options` are all option.* as given, without "option.", and `arguments` the other keys of the file: a
    handler's init properties are both.
    """

    directory: Path | None = None
    engine: DjlEngine = "Python"
    model_id: str | None = None
    """A hub's id, an s3:// prefix or a path; None: the directory itself."""
    entry_point: str | None = None
    """`djl_python.…` is the built-in handler, anything else one's own; None: model.py if there is one."""
    handler: str = "handle"
    revision: str | None = None
    trust_remote_code: bool = False
    task: str | None = None
    batch_size: int = 1
    max_batch_delay_ms: int = 100
    job_queue_size: int = 1000
    min_workers: int = 1
    max_workers: int = 1
    max_idle_time_s: float = 60.0
    retry_threshold: int = 10
    """Deaths of its workers after which a model counts as failed."""
    rolling_batch: str = "auto"
    """The batching that is requested; NO_ROLLING_BATCH for none."""
    max_rolling_batch_size: int = 32
    max_model_len: int | None = None
    """Tokens of prompt and answer together."""
    output_formatter: Formatter | None = None
    enable_streaming: Streaming | None = None
    tgi_compat: bool = False
    model_loading_timeout_s: float = 1200.0
    predict_timeout_s: float = 120.0
    dtype: str | None = None
    quantize: str | None = None
    enable_lora: bool = False
    max_loras: int = 4
    chat_template: str | None = None
    enable_stateful_sessions: bool = False
    sessions_expiration_s: float = 1200.0
    handler_environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that the handler's workers get."""
    max_request_bytes: int = 64 << 20
    chunked_read_timeout_s: float = 60.0
    """The longest silence within an answer that a handler streams."""
    cors_allowed_origin: str | None = None
    error_rate_any: Rate | None = None
    """How many calls may fail before GET /ping says so; None: any number."""
    error_rate_server: Rate | None = None
    error_rate_model: Rate | None = None
    error_rate_wlm: Rate | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)

    @property
    def error_rates(self) -> dict[str, Rate]:
        """Those that are set, by the last part of their name."""
        rates = {
            "any": self.error_rate_any,
            "server": self.error_rate_server,
            "model": self.error_rate_model,
            "wlm": self.error_rate_wlm,
        }
        return {name: rate for name, rate in rates.items() if rate is not None}

    @property
    def async_mode(self) -> bool | None:
        """Whether vLLM's own asynchronous service answers; None: as the release has it."""
        given = self.options.get("async_mode")
        return bool(SWITCH.parse(given)) if given else None

    @property
    def own_handler(self) -> str | None:
        """The file or module of one's own handler; None: the built-in one answers."""
        if self.entry_point is not None:
            return None if self.entry_point.startswith(BUILTIN_HANDLERS) else self.entry_point
        own = self.directory is not None and (self.directory / OWN_HANDLER).is_file()
        return OWN_HANDLER if own else None


@dataclass(frozen=True, slots=True)
class Notice:
    """One line for the log: `message` is constant, the rest are its fields."""

    level: Literal["info", "warning"]
    message: str
    key: str
    value: str = ""
    source: str = ""
    because: str = ""
    nearest: str = ""

    @property
    def fields(self) -> dict[str, str]:
        """What there is beside the message."""
        names = ("key", "value", "source", "because", "nearest")
        return {name: given for name in names if (given := getattr(self, name))}
