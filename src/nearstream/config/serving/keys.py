"""Every setting of DJL Serving and its LMI containers, 0.23 to 0.36: what it takes and what it does here."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

from nearstream.config.serving.ignored import IGNORED_SETTINGS
from nearstream.config.serving.values import (
    DEGREE,
    PATH,
    RATE,
    SWITCH,
    TEXT,
    VARIABLES,
    Kind,
    choice,
    seconds,
    whole,
)

OPTION = "option."
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Key:
    """One setting, under its name in serving.properties.

    `fills`: the field of ServingSettings that it sets. `implies`: what a switch that is on sets there, where
    nothing else does. `reason`: why one is ignored; `reasons`: the same of single values, in lower
    case. `variables`: its short forms in the environment, the strongest first. `since`: the release of LMI
    that first knew it. `shared`: not the built-in handler's own affair.
    """

    name: str
    kind: Kind = TEXT
    fills: str = ""
    implies: tuple[str, str] = ("", "")
    reason: str = ""
    reasons: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    since: tuple[int, int] = (0, 0)
    shared: bool = False

    @property
    def own_option(self) -> bool:
        """Whether it means what a handler of one's own takes it to mean."""
        return self.name.startswith(OPTION) and not self.shared

    @property
    def names(self) -> tuple[str, ...]:
        """The strongest first: what is said of the processor counts before what is said of all devices."""
        names = (self.name, *self.aliases)
        return tuple(sorted(names, key=lambda name: not name.startswith("cpu.")))

    @property
    def effective(self) -> bool:
        """Whether it changes anything."""
        return bool(self.fills or self.implies[0])


_ONE_PROCESS = "the OpenVINO engine is one process; nothing is started with MPI"
_OPENVINO = "the OpenVINO engine runs the model, with its own continuous batching"
_NO_REMOTE_CODE = "the built-in handler runs no code that comes with a model"
_NOT_DIVIDED = "the OpenVINO engine uses all cores of this machine; it is not divided"
TEXT_ONLY = "the built-in handler generates text only; what else a model does needs a model.py"
_AS_THEY_ARE = "checkpoints are read as they are"
_ENGINES = {
    "Python": "Python", "MPI": "MPI", "DeepSpeed": "MPI", "FasterTransformer": "MPI", "vLLM": "Python",
    "LMI-Dist": "MPI", "TensorRT-LLM": "MPI", "TRTLLM": "MPI", "NeuronX": "Python",
}  # fmt: skip
_BATCHING = (
    "auto", "vllm", "lmi-dist", "lmi-dist-v2", "scheduler", "trtllm", "tensorrtllm", "deepspeed", "tnx",
    "neuron", "disable",
)  # fmt: skip
_LANGUAGE_HANDLERS = (
    "deepspeed", "fastertransformer", "tensorrt_llm", "transformers_neuronx", "transformers-neuronx",
    "transformersneuronx", "lmi_vllm.vllm_async_service", "lmi_trtllm.trtllm_async_service",
)  # fmt: skip
_OTHER_HANDLERS = (
    "stable-diffusion", "stable_diffusion", "stable-diffusion-nx", "stable_diffusion_inf2", "sd_inf2",
    "sentence_transformers", "huggingface_embedding", "tensorrt_llm_python",
)  # fmt: skip
HANDLERS = ("huggingface", *_LANGUAGE_HANDLERS, *_OTHER_HANDLERS)
_DTYPES = ("auto", "fp32", "fp16", "bf16", "int8", "int4", "fp8", "float32", "float16", "bfloat16", "float8")
_MADE_BEFORE = (
    "awq", "gptq", "squeezellm", "fp8", "marlin", "aqlm", "gguf", "compressed-tensors", "int4_awq",
    "awq_marlin", "gptq_marlin",
)  # fmt: skip
_OTHER_TASKS = (
    "feature-extraction", "text-embedding", "text-classification", "token-classification",
    "question-answering", "table-question-answering", "fill-mask", "multiple-choice", "text-to-image",
    "image-to-image",
)  # fmt: skip
_FORMATTERS = ("json", "jsonlines", "sse", "json_chat", "jsonlines_chat", "sse_chat")


def _same(*names: str) -> Kind:
    return choice({name: name for name in names})


_EFFECTIVE = (
    Key("engine", choice(_ENGINES), "engine", shared=True, reasons={
        "mpi": _ONE_PROCESS,
        **{name.lower(): _OPENVINO for name in _ENGINES if name not in ("Python", "MPI")},
    }),
    Key("job_queue_size", whole(1, 1_000_000), "job_queue_size", aliases=("jobQueueSize",),
        variables=("MAX_CONCURRENT_REQUESTS",)),
    Key("batch_size", whole(1, 999), "batch_size", aliases=("batchSize",)),
    Key("max_batch_delay", whole(0, 3_600_000), "max_batch_delay_ms",
        aliases=("maxBatchDelay", "option.max_batch_delay")),
    Key("max_idle_time", seconds(0, 7 * _DAY_S), "max_idle_time_s",
        aliases=("maxIdleTime", "option.max_idle_time")),
    Key("minWorkers", whole(0, 1024), "min_workers",
        aliases=("cpu.minWorkers", "min_workers", "gpu.minWorkers")),
    Key("maxWorkers", whole(1, 1024), "max_workers",
        aliases=("cpu.maxWorkers", "max_workers", "gpu.maxWorkers")),
    Key("retry_threshold", whole(0, 1000), "retry_threshold"),
    Key("max_request_size", whole(1, 1 << 31), "max_request_bytes"),
    Key("chunked_read_timeout", seconds(1, _DAY_S), "chunked_read_timeout_s"),
    Key("cors_allowed_origin", TEXT, "cors_allowed_origin"),
    *(Key(f"error_rate_{of}", RATE, f"error_rate_{of}") for of in ("any", "server", "model", "wlm")),
    Key("option.model_id", TEXT, "model_id", shared=True, aliases=("option.s3url", "option.model_dir"),
        variables=("HF_MODEL_ID",)),
    Key("option.entryPoint", TEXT, "entry_point", shared=True, variables=("DJL_ENTRY_POINT",),
        aliases=("option.entry_point", "option.entrypoint"), reasons={
            **{f"djl_python.{name}": _OPENVINO for name in _LANGUAGE_HANDLERS},
            **{f"djl_python.{name}": TEXT_ONLY for name in _OTHER_HANDLERS},
        }),
    Key("option.handler", TEXT, "handler", shared=True),
    Key("option.env", VARIABLES, "handler_environment", shared=True),
    Key("option.model_loading_timeout", seconds(1, _DAY_S), "model_loading_timeout_s", shared=True,
        variables=("MODEL_LOADING_TIMEOUT",)),
    Key("option.predict_timeout", seconds(1, _DAY_S), "predict_timeout_s", shared=True,
        variables=("PREDICT_TIMEOUT",)),
    Key("option.revision", TEXT, "revision", variables=("HF_REVISION", "HF_MODEL_REVISION")),
    Key("option.trust_remote_code", SWITCH, "trust_remote_code", reasons=dict.fromkeys(
        ("true", "t", "yes", "y", "on", "1"), _NO_REMOTE_CODE),
        variables=("HF_MODEL_TRUST_REMOTE_CODE", "HF_TRUST_REMOTE_CODE")),
    Key("option.task", TEXT, "task", variables=("HF_TASK",), reasons=dict.fromkeys(_OTHER_TASKS, TEXT_ONLY)),
    Key("option.rolling_batch", _same(*_BATCHING), "rolling_batch",
        reasons={name: _OPENVINO for name in _BATCHING if name not in ("auto", "disable")}),
    Key("option.max_rolling_batch_size", whole(1, 4096), "max_rolling_batch_size",
        aliases=("option.max_num_seqs", "option.max_num_sequences"), variables=("MAX_BATCH_SIZE",)),
    Key("option.max_model_len", whole(1, 100_000_000), "max_model_len", since=(0, 27),
        aliases=("option.max_seq_len", "option.n_positions", "option.max_tokens")),
    Key("option.output_formatter", _same(*_FORMATTERS), "output_formatter"),
    Key("option.enable_streaming", _same("true", "false", "huggingface"), "enable_streaming"),
    Key("option.tgi_compat", SWITCH, "tgi_compat", since=(0, 26)),
    Key("option.dtype", _same(*_DTYPES), "dtype", aliases=("option.data_type",)),
    Key("option.quantize", TEXT, "quantize", aliases=("option.quantization",),
        variables=("HF_MODEL_QUANTIZE",), reasons=dict.fromkeys(_MADE_BEFORE, _AS_THEY_ARE)),
    Key("option.load_in_8bit", SWITCH, implies=("quantize", "bitsandbytes8")),
    Key("option.load_in_4bit", SWITCH, implies=("quantize", "bitsandbytes4")),
    Key("option.mpi_mode", SWITCH, implies=("engine", "MPI"), shared=True),
    Key("option.async_mode", SWITCH, implies=("rolling_batch", "auto")),
    Key("option.enable_lora", SWITCH, "enable_lora", since=(0, 27)),
    Key("option.max_loras", whole(1, 1024), "max_loras", since=(0, 27)),
    Key("option.chat_template", TEXT, "chat_template"),
    Key("option.enable_stateful_sessions", SWITCH, "enable_stateful_sessions", since=(0, 33)),
    Key("option.sessions_expiration", seconds(1, 30 * _DAY_S), "sessions_expiration_s", since=(0, 33)),
)  # fmt: skip
_UNHEEDED = (
    Key("option.tensor_parallel_degree", DEGREE, reason=_NOT_DIVIDED,
        variables=("TENSOR_PARALLEL_DEGREE", "SM_NUM_GPUS")),
    Key("option.pipeline_parallel_degree", whole(1, 1024), reason=_NOT_DIVIDED,
        variables=("PIPELINE_PARALLEL_DEGREE",)),
    Key("option.parallel_loading", SWITCH, reason="workers are started side by side", shared=True),
    Key("option.max_rolling_batch_prefill_tokens", whole(1, 100_000_000),
        reason="long prompts are read in parts, between the tokens of others",
        aliases=("option.max_num_batched_tokens",), variables=("MAX_BATCH_PREFILL_TOKENS",)),
    Key("option.sessions_path", PATH,
        reason="sessions are kept in memory; they end with the replica that opened them"),
    *(Key(name, reason=reason) for reason, names in IGNORED_SETTINGS.items() for name in names),
)  # fmt: skip
KEYS = (*_EFFECTIVE, *_UNHEEDED)
_BY_NAME = {name: key for key in KEYS for name in key.names}
_BY_LOWER_NAME = {name.lower(): name for key in KEYS for name in reversed(key.names)}
_BY_BARE_NAME = {name.lower().removeprefix(OPTION): name for name in _BY_NAME}
SHORT_FORMS = {variable: key.name for key in KEYS for variable in key.variables}


def find(name: str) -> Key | None:
    """The setting that is called `name`, here or in a release of DJL Serving."""
    return _BY_NAME.get(name)


def cased(name: str) -> str:
    """`name`, which lost its capitals in a variable, as a setting is written."""
    return _BY_LOWER_NAME.get(name, name)


def option(name: str) -> str:
    """The setting that the variable OPTION_`name` means: option.`name`, or another one of this name."""
    told = OPTION + name.lower()
    return cased(told if told in _BY_LOWER_NAME or name.lower() not in _BY_LOWER_NAME else name.lower())


def nearest(name: str) -> str:
    """The known name that `name` may be a slip for; "" for none."""
    near = difflib.get_close_matches(name.lower().removeprefix(OPTION), _BY_BARE_NAME, n=1, cutoff=0.7)
    return _BY_BARE_NAME[near[0]] if near else ""
