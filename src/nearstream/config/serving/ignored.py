"""Settings of DJL Serving and of its backends for GPUs that change nothing here, and why."""

from __future__ import annotations

from collections.abc import Mapping

_ONE_ENGINE = "the OpenVINO engine uses all cores of this machine; it is not divided"
_MEMORY = "the model lies in this machine's memory; none of it is on a GPU"
_BATCH = "every request that fits joins the batch at the next step"
_PARTS = "long prompts are read in parts, between the tokens of others"
_CACHE = "the cache of past tokens is paged, grows as requests need it and is shared between prompts"
_COMPILED = "the model is compiled for this machine's processor as it is loaded"
_WEIGHTS = "the model runs as its configuration says, in 16 bits or as option.quantize asks"
_CHECKPOINT = "checkpoints of transformers, GGUF and OpenVINO are found by what is in the folder"
_ONE_TOKEN = "tokens are made one at a time"  # noqa: S105
_LENGTHS = "lengths are bounded by option.max_model_len and by each request"
_ROPE = "positions are encoded as the model's configuration says"
_ADAPTERS = "adapters are bounded by option.max_loras alone"
_TEXT_ONLY = "the built-in handler generates text"
_SAMPLING = "each request says how its tokens are chosen"
_TOKENIZER = "the tokenizer in the model's own folder is used"
_STREAM = "answers go out as they are made"
_METRICS = "metrics are always kept, and shown at /metrics"
_ONE_MODEL = "the server starts with the model that it is given; POST /models adds others"
_DOWNLOADS = "set HF_HOME to keep downloads elsewhere"
_BACKEND = "the OpenVINO engine is the only backend"
_FRONT = "the front door listens for clients; a proxy before it speaks TLS"
_PAGES = "pages of the origin that is set may send any method and any header"
_PING = "/ping says how the model stands, whatever this says"
_FAST = "a server whose first model cannot be loaded always ends, and says why"
_CODES = "answers have the statuses that DJL Serving gives where nothing is set"
_REQUEST_ID = "a call's id is in x-request-id"
_NOT_KEPT = "an answer goes to the call that asked for it; none is kept to be fetched later"
_FORMATTERS = "the built-in handler reads and writes LMI's own bodies; another form needs a model.py"
_NAMED = "a model is called by the name that it is registered under"
_MAPPED = "weights are read from disk as they are needed"
_TOOLS = "calls of tools are held to the schemas of the tools; what a model reasons is part of its text"
_JAVA = "no Java runs"
_PYTHON = "handlers run on this machine's Python, each model in an environment of its own"

IGNORED_SETTINGS: Mapping[str, tuple[str, ...]] = {
    _ONE_ENGINE: (
        "load_on_devices", "option.cluster_size", "option.device_map",
        "option.device_id", "option.device", "option.tensor_parallel_size", "option.pipeline_parallel_size",
        "option.data_parallel_size", "option.enable_expert_parallel", "option.distributed_executor_backend",
        "option.context_parallel_size", "option.moe_tensor_parallel_size", "option.moe_expert_parallel_size",
        "option.multi_gpu", "option.load_on_devices", "option.training_mp_size", "option.auto_parallel",
        "option.worker_use_ray", "option.enable_attention_dp", "option.auto_parallel_world_size",
        "option.embedding_parallel_mode", "option.data_parallel_size_local", "option.data_parallel_rank",
        "option.data_parallel_address", "option.data_parallel_backend", "option.enable_eplb",
        "option.eplb_config", "option.num_redundant_experts", "option.decode_context_parallel_size",
        "option.prefill_context_parallel_size", "option.worker_cls", "option.worker_extension_cls",
        "option.max_parallel_loading_workers", "option.ray_workers_use_nsight", "option.enable_dbo",
    ),
    _MEMORY: (
        "required_memory_mb", "gpu.required_memory_mb", "reserved_memory_mb", "gpu.reserved_memory_mb",
        "option.gpu_memory_utilization", "option.swap_space", "option.kv_cache_free_gpu_mem_fraction",
        "option.free_gpu_memory_fraction", "option.host_cache_size", "option.cpu_offload_gb_per_gpu",
        "option.cpu_offload_gb", "option.kv_cache_memory_bytes", "option.enable_sleep_mode",
    ),
    _BATCH: (
        "option.waiting_steps", "option.batch_scheduler_policy", "option.enable_trt_overlap",
        "option.max_splits", "option.max_sparsity", "option.scheduling_policy", "option.batch_size",
        "option.num_scheduler_steps", "option.scheduler_delay_factor", "option.batching_type",
        "option.max_batch_size", "option.async_scheduling", "option.scheduler_cls", "option.preemption_mode",
        "option.num_lookahead_slots", "option.multi_step_stream_outputs",
    ),
    _PARTS: (
        "option.max_num_partial_prefills", "option.enable_chunked_prefill",
        "option.max_long_partial_prefills", "option.long_prefill_token_threshold",
    ),
    _CACHE: (
        "option.paged_attention", "option.block_size", "option.tokens_per_block", "option.kv_cache_dtype",
        "option.enable_prefix_caching", "option.enable_kv_cache_reuse", "option.enable_block_reuse",
        "option.num_gpu_blocks_override", "option.disable_sliding_window", "option.use_v2_block_manager",
        "option.max_attention_window", "option.sink_token_length", "option.lmcache_auto_config",
        "option.lmcache_config_file", "option.kv_transfer_config", "option.kv_events_config",
        "option.prefix_caching_hash_algo", "option.disable_hybrid_kv_cache_manager",
        "option.kv_offloading_size", "option.kv_offloading_backend",
    ),
    _COMPILED: (
        "option.enforce_eager", "option.enable_cuda_graph", "option.disable_flash_attn", "option.unroll",
        "option.neuron_optimize_level", "option.context_length_estimate", "option.compiled_graph_path",
        "option.load_split_model", "option.group_query_attention", "option.fuse_qkv", "option.amp",
        "option.enable_mixed_precision_accumulation", "option.on_device_embedding", "option.use_fused_mlp",
        "option.collectives_layout", "option.attention_layout", "option.cache_layout",
        "option.all_reduce_dtype", "option.cast_logits_dtype", "option.on_device_generation",
        "option.shard_over_sequence", "option.weight_tiling", "option.partition_schema",
        "option.max_seq_len_to_capture", "option.max_context_len_to_capture", "option.compilation_config",
        "option.disable_custom_all_reduce", "option.num_checkpoint_workers", "option.num_engine_workers",
        "option.load_by_shard", "option.trtllm_checkpoint_path", "option.triangular_masking",
        "option.return_tuple", "option.checkpoint", "option.save_mp_checkpoint_path", "option.ds_config",
        "option.deepspeed_config_path", "option.use_custom_all_reduce", "option.multi_block_mode",
        "option.use_cuda_graph", "option.fast_build", "option.enable_build_cache",
        "option.extended_runtime_perf_knob_config", "option.optimization", "option.cuda_graph_sizes",
        "option.disable_cascade_attn", "option.disable_async_output_proc", "option.attention_backend",
        "option.additional_config", "option.override_neuron_config",
    ),
    _WEIGHTS: (
        "option.logits_dtype", "option.smoothquant_alpha", "option.smoothquant_per_token",
        "option.smoothquant_per_channel", "option.multi_query_mode", "option.awq_format",
        "option.awq_calib_size", "option.awq_block_size", "option.q_format", "option.calib_size",
        "option.calib_batch_size", "option.use_fp8_context_fmha", "option.calculate_kv_scales",
    ),
    _CHECKPOINT: (
        "option.load_format", "option.baichuan_model_version", "option.chatglm_model_version",
        "option.gpt_model_version", "option.model_loader", "option.model_loader_extra_config",
        "option.modelName", "option.model_impl", "option.config_format", "option.code_revision",
        "option.ignore_patterns", "option.hf_config_path", "option.use_tqdm_on_load",
    ),
    _ONE_TOKEN: (
        "option.draft_model_id", "option.spec_length", "option.speculative_draft_model",
        "option.speculative_length", "option.draft_model_tp_size", "option.record_acceptance_rate",
        "option.speculative_model", "option.speculative_config", "option.num_speculative_tokens",
        "option.draft_model_compiled_path",
    ),
    _LENGTHS: (
        "option.max_input_len", "option.max_output_len", "option.max_num_tokens", "option.max_beam_width",
    ),
    _ROPE: (
        "option.rope_scaling", "option.rope_theta", "option.rotary_base", "option.rotary_dim",
        "option.rotary_scaling_type", "option.rotary_scaling_factor", "option.hf_overrides",
    ),
    _ADAPTERS: (
        "option.max_lora_rank", "option.lora_extra_vocab_size", "option.max_cpu_loras", "option.lora_dtype",
        "option.long_lora_scaling_factors", "option.fully_sharded_loras", "option.is_peft_model",
        "option.enable_lora_bias", "option.default_mm_loras", "option.enable_prompt_adapter",
    ),
    _TEXT_ONLY: (
        "option.limit_mm_per_prompt", "option.height", "option.width", "option.num_images_per_prompt",
        "option.use_auth_token", "option.normalize", "option.pooling", "translatorFactory",
        "option.model_format", "option.skops_trusted_types", "option.trust_insecure_model_files",
        "option.runner", "option.convert", "option.override_pooler_config", "option.pooler_config",
        "option.mm_processor_kwargs", "option.media_io_kwargs", "option.mm_processor_cache_gb",
        "option.disable_mm_preprocessor_cache", "option.allowed_local_media_path",
        "option.disable_chunked_mm_input", "option.skip_mm_profiling",
    ),
    _SAMPLING: (
        "option.decoding_strategy", "option.guided_decoding_backend", "option.generation_config",
        "option.normalize_log_probs", "option.gather_generation_logits", "option.max_logprobs", "option.seed",
        "option.logprobs_mode", "option.logits_processors", "option.logits_processor_pattern",
        "option.override_generation_config", "option.structured_outputs_config",
    ),
    _TOKENIZER: (
        "option.tokenizer", "option.tokenizer_mode", "option.tokenizer_revision",
        "option.skip_tokenizer_init",
    ),
    _STREAM: ("option.stream_interval", "option.bedrock_compat", "option.max_output_size"),
    _METRICS: (
        "log_request_metric", "log_model_metric", "metrics_aggregation", "option.disable_log_stats",
        "option.disable_log_requests", "option.track_request_metric", "option.iter_stats_max_iterations",
        "option.request_stats_max_iterations", "option.enable_log_requests", "option.max_log_len",
        "option.otlp_traces_endpoint", "option.collect_detailed_traces",
    ),
    _ONE_MODEL: ("load_models", "model_store", "model_url_pattern", "wait_model_loading"),
    _DOWNLOADS: ("download_dir", "option.download_dir"),
    _BACKEND: ("features", "option.trt_llm", "option.backend"),
    _FRONT: (
        "inference_address", "management_address", "cluster_address", "keystore", "keystore_pass",
        "keystore_type", "certificate_file", "private_key_file",
    ),
    _PAGES: ("cors_allowed_methods", "cors_allowed_headers"),
    _PING: ("allow_multi_status", "health_check_override"),
    _FAST: ("fail_fast",),
    _CODES: (
        "bad_request_http_code", "wlm_error_http_code", "server_error_http_code", "timeout_http_code",
        "throttle_error_http_code",
    ),
    _REQUEST_ID: ("request_id_header_key",),
    _NOT_KEPT: (
        "cache_batch", "cache_multitenant", "ddb_cache", "ddb_table_name", "memory_cache_capacity",
        "s3_cache", "s3_cache_autocreate", "s3_cache_bucket", "s3_cache_key_prefix",
    ),
    _FORMATTERS: ("option.input_formatter",),
    _NAMED: ("option.served_model_name",),
    _MAPPED: ("option.low_cpu_mem_usage",),
    _TOOLS: (
        "option.enable_auto_tool_choice", "option.tool_call_parser", "option.tool_parser_plugin",
        "option.enable_reasoning", "option.reasoning_parser", "option.chat_template_content_format",
    ),
    _JAVA: (
        "number_of_netty_threads", "use_native_io", "io_ratio", "plugin_folder", "opts",
        "option.mapLocation", "option.extraFiles", "option.interOpNumThreads", "option.intraOpNumThreads",
        "option.executionMode", "option.optLevel", "option.memoryPatternOptimization",
        "option.cpuArenaAllocator", "option.disablePerSessionThreads", "option.customOpLibrary",
        "option.ortDevice",
    ),
    _PYTHON: ("option.pythonExecutable", "option.enable_venv"),
}  # fmt: skip
