"""The configurations that OpenVINO takes: of a pipeline and of a request."""

from __future__ import annotations

from typing import Any

import openvino_genai as genai

from nearstream.engines.openvino.frames import Load, Options
from nearstream.engines.openvino.search import Draw
from nearstream.engines.openvino.typical import SEARCH_TEMPERATURE, draws


def search_config(options: Options, draw: Draw, *, width: int, seed: int) -> genai.GenerationConfig:
    """One token, drawn so often that the `width` likeliest all come; see `typical`."""
    config = genai.GenerationConfig()
    config.max_new_tokens = 1
    config.logprobs = int(draw.logprobs)
    config.ignore_eos = True
    config.repetition_penalty = options.repetition_penalty
    config.do_sample = True
    config.temperature = SEARCH_TEMPERATURE
    config.top_k = width
    config.num_return_sequences = draws(width)
    config.rng_seed = seed
    config.validate()
    return config


def generation_config(options: Options) -> genai.GenerationConfig:
    config = genai.GenerationConfig()
    config.max_new_tokens = options.max_new_tokens
    config.logprobs = 1
    if options.stop_token_ids:
        config.stop_token_ids = set(options.stop_token_ids)
        # Left unset, the model's own end-of-sequence id would join them.
        config.eos_token_id = options.stop_token_ids[0]
    else:
        config.ignore_eos = True
    config.repetition_penalty = options.repetition_penalty
    config.frequency_penalty = options.frequency_penalty
    config.presence_penalty = options.presence_penalty
    config.echo = options.prompt_logprobs
    config.min_new_tokens = options.min_new_tokens
    if options.do_sample:
        config.do_sample = True
        config.temperature = options.temperature
        config.top_k = options.top_k
        config.top_p = options.top_p
        config.min_p = options.min_p
        config.rng_seed = options.seed
    if options.grammar is not None:
        config.structured_output_config = genai.StructuredOutputConfig(grammar=options.grammar)
    config.validate()
    return config


def scheduler_config(wanted: Load, kv_blocks: int, *, prefix_caching: bool) -> genai.SchedulerConfig:
    """How a pipeline batches, and how many blocks of keys and values it has."""
    scheduler = genai.SchedulerConfig()
    scheduler.num_kv_blocks = kv_blocks
    scheduler.max_num_batched_tokens = wanted.max_batched_tokens
    scheduler.max_num_seqs = wanted.max_seqs
    scheduler.enable_prefix_caching = prefix_caching
    scheduler.dynamic_split_fuse = True
    return scheduler


def plugin_properties(wanted: Load) -> dict[str, Any]:
    """The CPU plugin's, and the one of the pipeline that is a number."""
    properties: dict[str, Any] = dict(wanted.properties)
    threads = properties.pop("sampler_num_threads", None)
    if threads is not None:
        properties["sampler_num_threads"] = int(threads)
    return properties
