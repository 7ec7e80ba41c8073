"""The settings of TGI's launcher: its flags over its variables, and SageMaker's variables made TGI's.

Flags: launcher/src/main.rs of TGI 3.3, and `--plain-text-errors`, which is ours; SageMaker:
sagemaker-entrypoint.sh.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from nearstream.config.container import ContainerSettings, container_settings, unquoted
from nearstream.core.errors import Missing, Unusable

DEFAULT_PORT = 3000
SAGEMAKER_PORT = "8080"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - TGI's default
_SAGEMAKER_NAMES = {
    "HF_MODEL_ID": "MODEL_ID",
    "HF_MODEL_REVISION": "REVISION",
    "SM_NUM_GPUS": "NUM_SHARD",
    "HF_MODEL_QUANTIZE": "QUANTIZE",
    "HF_MODEL_TRUST_REMOTE_CODE": "TRUST_REMOTE_CODE",
}
_LEVELS = {"trace": "debug", "debug": "debug", "info": "info", "warn": "warning", "error": "error"}


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag of the launcher; its variable is its name in capitals.

    `reason`: why the flag is ignored; "" for one that is effective.
    """

    name: str
    reason: str = ""
    switch: bool = False
    repeated: bool = False

    @property
    def variable(self) -> str:
        return self.name.upper().replace("-", "_")


_ONE_PROCESS = "one process on the CPU runs the model"
_CONVERTED = "the model runs as its configuration says, in 16 bits or as --quantize asks"
_CONTINUOUS = "every request that fits joins the batch at the next step"
_NO_TUNNEL = "no tunnel is opened"
_NO_WATERMARK = "answers carry no watermark"
_NO_STATISTICS = "no statistics are ever sent"
FLAGS = (
    *(
        Flag(name)
        for name in (
            "model-id", "revision", "quantize", "max-concurrent-requests", "max-best-of",
            "max-stop-sequences", "max-top-n-tokens", "max-input-tokens", "max-input-length",
            "max-total-tokens", "max-batch-total-tokens", "max-batch-size", "max-client-batch-size",
            "hostname", "port",
            "api-key", "payload-limit", "graceful-termination-timeout", "otlp-endpoint",
            "otlp-service-name", "lora-adapters",
        )
    ),
    Flag("cors-allow-origin", repeated=True),
    Flag("json-output", switch=True),
    Flag("plain-text-errors", switch=True),
    Flag("num-shard", _ONE_PROCESS),
    Flag("sharded", _ONE_PROCESS, switch=True),
    Flag("shard-uds-path", _ONE_PROCESS),
    Flag("master-addr", _ONE_PROCESS),
    Flag("master-port", _ONE_PROCESS),
    Flag("validation-workers", "requests are checked where they arrive"),
    Flag("cuda-graphs", _ONE_PROCESS),
    Flag("cuda-memory-fraction", _ONE_PROCESS),
    Flag("disable-custom-kernels", _ONE_PROCESS, switch=True),
    Flag("dtype", _CONVERTED),
    Flag("kv-cache-dtype", _CONVERTED),
    Flag("rope-scaling", _CONVERTED),
    Flag("rope-factor", _CONVERTED),
    Flag("speculate", "tokens are made one at a time"),
    Flag("trust-remote-code", "code that comes with a model is never run", switch=True),
    Flag("waiting-served-ratio", _CONTINUOUS),
    Flag("max-waiting-tokens", _CONTINUOUS),
    Flag("max-batch-prefill-tokens", "long prompts are read in parts, between the tokens of others"),
    Flag("prefill-chunking", "long prompts are always read in parts", switch=True),
    Flag("prefix-caching", "what prompts have in common is always kept", switch=True),
    Flag("huggingface-hub-cache", "set HF_HOME to keep downloads elsewhere"),
    Flag("weights-cache-override", "set HF_HOME to keep downloads elsewhere"),
    Flag("tokenizer-config-path", "the files in the model's own folder are used"),
    Flag("disable-grammar-support", "grammars stay available", switch=True),
    Flag("enable-prefill-logprobs", "a request that asks for them gets them", switch=True),
    Flag("watermark-gamma", _NO_WATERMARK),
    Flag("watermark-delta", _NO_WATERMARK),
    Flag("ngrok", _NO_TUNNEL, switch=True),
    Flag("ngrok-authtoken", _NO_TUNNEL),
    Flag("ngrok-edge", _NO_TUNNEL),
    Flag("usage-stats", _NO_STATISTICS),
    Flag("disable-usage-stats", _NO_STATISTICS, switch=True),
    Flag("disable-crash-reports", _NO_STATISTICS, switch=True),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LauncherSettings:
    """`ignored`: the flags, or variables, that were given and are ignored."""

    container: ContainerSettings
    hostname: str
    port: int
    quantize: str | None
    json_output: bool
    log_level: str
    ignored: tuple[Flag, ...]


def launcher_settings(
    flags: Mapping[str, str], environ: Mapping[str, str] | None = None, *, sagemaker: bool = False
) -> LauncherSettings:
    """`flags` by their variables' names. Raises Unusable, or Missing on SageMaker without a model.

    It is on SageMaker if asked to be, or if its variables are set and no model is named in TGI's way.
    """
    given = unquoted(os.environ if environ is None else environ) | dict(flags)
    if sagemaker or (not given.get("MODEL_ID") and any(given.get(name) for name in _SAGEMAKER_NAMES)):
        given = _from_sagemaker(given) | dict(flags)
    given |= {"HF_MODEL_ID": given.get("MODEL_ID", ""), "HF_MODEL_REVISION": given.get("REVISION", "")}
    return LauncherSettings(
        container=container_settings(given),
        hostname=_address(given.get("HOSTNAME") or EVERYWHERE),
        port=_port(given.get("PORT") or str(DEFAULT_PORT)),
        quantize=given.get("QUANTIZE") or None,
        json_output=_yes(given.get("JSON_OUTPUT", "")),
        log_level=_LEVELS.get(given.get("LOG_LEVEL", "").partition(",")[0].lower(), "info"),
        ignored=tuple(flag for flag in FLAGS if flag.reason and given.get(flag.variable)),
    )


def _from_sagemaker(given: Mapping[str, str]) -> dict[str, str]:
    if not given.get("HF_MODEL_ID"):
        raise Missing("HF_MODEL_ID must be set")
    renamed = {theirs: given[name] for name, theirs in _SAGEMAKER_NAMES.items() if given.get(name)}
    return {**given, **renamed, "PORT": SAGEMAKER_PORT}


def _address(hostname: str) -> str:
    """An address to listen on. As in TGI a name that is none means every address: containers set HOSTNAME."""
    if hostname == "localhost":
        return "127.0.0.1"
    try:
        return str(ip_address(hostname))
    except ValueError:
        return EVERYWHERE


def _port(value: str) -> int:
    if not value.isdigit() or not 0 <= int(value) < 1 << 16:
        raise Unusable(f"PORT is {value!r}; a number from 0 to 65535 is wanted.")
    return int(value)


def _yes(value: str) -> bool:
    return value.lower() in {"1", "true"}
