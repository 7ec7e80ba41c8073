"""What a model's files and the environment ask for, and which of them counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearstream.config.serving.keys import KEYS
from nearstream.config.serving.read import read_serving
from nearstream.config.serving.settings import Notice, ServingSettings
from nearstream.core.errors import Unusable


def model(folder: Path, properties: str | None = None, **files: str) -> Path:
    if properties is not None:
        (folder / "serving.properties").write_text(properties)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def settings(folder: Path, properties: str | None = None, **environ: str) -> ServingSettings:
    return read_serving(model(folder, properties), environ)[0]


def notices(folder: Path, properties: str, *, version: str = "", **environ: str) -> tuple[Notice, ...]:
    return read_serving(model(folder, properties), environ, version=version)[1]


def told(found: tuple[Notice, ...]) -> dict[str, str]:
    return {notice.key: notice.because for notice in found}


FALCON = """\
engine=MPI
option.model_id=tiiuae/falcon-7b-instruct
option.trust_remote_code=true
option.tensor_parallel_degree=1
option.max_rolling_batch_size=32
option.rolling_batch=auto
option.output_formatter=jsonlines
option.paged_attention=false
option.enable_streaming=true
"""
LLAMA = """\
engine = MPI
option.entryPoint=djl_python.huggingface
option.tensor_parallel_degree=4
option.low_cpu_mem_usage=TRUE
option.rolling_batch=lmi-dist
option.max_rolling_batch_size=64
option.model_loading_timeout=900
option.model_id={{model_id}}
option.paged_attention=true
"""


def test_a_file_as_awss_post_on_falcon_prints_it_is_read_with_a_remark_on_what_is_not_as_asked(
    tmp_path: Path,
):
    found, said = read_serving(model(tmp_path, FALCON), {}, version="0.23.0")
    assert (found.engine, found.model_id, found.trust_remote_code) == (
        "MPI",
        "tiiuae/falcon-7b-instruct",
        True,
    )
    assert (found.rolling_batch, found.max_rolling_batch_size) == ("auto", 32)
    assert (found.output_formatter, found.enable_streaming) == ("jsonlines", "true")
    assert {notice.level for notice in said} == {"info"}
    assert list(told(said)) == [
        "engine",
        "option.trust_remote_code",
        "option.tensor_parallel_degree",
        "option.paged_attention",
    ]
    assert told(said)["option.tensor_parallel_degree"] == (
        "the OpenVINO engine uses all cores of this machine; it is not divided"
    )


def test_a_file_as_awss_post_on_llama_prints_it_is_read_once_its_model_is_filled_in(tmp_path: Path):
    filled = LLAMA.replace("{{model_id}}", "s3://models/llama/")
    found, said = read_serving(model(tmp_path, filled), {}, version="0.25.0")
    assert (found.engine, found.model_id) == ("MPI", "s3://models/llama/")
    assert (found.entry_point, found.own_handler) == ("djl_python.huggingface", None)
    assert (found.rolling_batch, found.max_rolling_batch_size) == ("lmi-dist", 64)
    assert (found.model_loading_timeout_s, found.output_formatter, found.enable_streaming) == (
        900,
        None,
        None,
    )
    assert list(told(said)) == [
        "engine",
        "option.tensor_parallel_degree",
        "option.low_cpu_mem_usage",
        "option.rolling_batch",
        "option.paged_attention",
    ]
    assert told(said)["option.rolling_batch"] == (
        "the OpenVINO engine runs the model, with its own continuous batching"
    )


@pytest.mark.parametrize("left", ["{{model_id}}", "<your model id>", "s3://<bucket>/llama", "${MODEL}"])
def test_a_placeholder_that_was_left_in_is_an_error_that_says_to_fill_it_in(tmp_path: Path, left: str):
    with pytest.raises(Unusable) as refused:
        settings(tmp_path, LLAMA.replace("{{model_id}}", left))
    assert str(refused.value) == (
        f"{tmp_path}/serving.properties, line 8: option.model_id is {left!r}, a template's placeholder; "
        "fill it in with a hub's model id, an s3:// prefix or a path."
    )


def test_nothing_given_is_the_defaults_of_lmis_containers(tmp_path: Path):
    assert read_serving(None, {}) == (ServingSettings(), ())
    assert settings(tmp_path) == ServingSettings(tmp_path)


@pytest.mark.parametrize("file", ["config__json", "model__py"])
def test_a_folder_with_a_model_or_a_handler_alone_is_fine(tmp_path: Path, file: str):
    found, said = read_serving(model(tmp_path, **{file: ""}), {})
    assert (found.directory, found.own_handler, said) == (
        tmp_path,
        "model.py" if file == "model__py" else None,
        (),
    )


def test_the_only_folder_in_an_archive_is_the_models(tmp_path: Path):
    inner = tmp_path / "llama"
    inner.mkdir()
    (tmp_path / "._llama").mkdir()
    assert settings(tmp_path).directory == tmp_path
    model(inner, config__json="{}")
    assert settings(tmp_path).directory == inner
    model(inner, "batch_size=2")
    (tmp_path / "adapters").mkdir()
    found = settings(tmp_path)
    assert (found.directory, found.batch_size) == (inner, 2)
    assert settings(tmp_path, "batch_size=3").directory == tmp_path


def test_two_folders_with_settings_are_an_error_that_names_them(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        model(tmp_path / name, "")
    with pytest.raises(Unusable, match=r"has serving\.properties in a, b; one folder"):
        settings(tmp_path)


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path):
    with pytest.raises(Unusable, match="none is no folder"):
        settings(tmp_path / "none")


def test_the_file_beats_option_variables_which_fill_what_is_missing(tmp_path: Path):
    found, said = read_serving(
        model(tmp_path, "option.model_id=a/b\nengine=Python\n"),
        {
            "OPTION_MODEL_ID": "c/d",
            "OPTION_ENGINE": "MPI",
            "OPTION_DTYPE": "bf16",
            "OPTION_ENTRYPOINT": "djl_python.huggingface",
        },
    )
    assert (found.model_id, found.engine, found.dtype, found.entry_point) == (
        "a/b", "Python", "bf16", "djl_python.huggingface",
    )  # fmt: skip
    at = f"{tmp_path}/serving.properties, line"
    assert [(notice.message, notice.source, notice.because) for notice in said] == [
        ("setting given twice", "OPTION_ENGINE", f"engine from {at} 2 counts"),
        ("setting given twice", "OPTION_MODEL_ID", f"option.model_id from {at} 1 counts"),
    ]


def test_variables_of_the_server_beat_its_file_and_the_models_file_beats_both(tmp_path: Path):
    model(
        tmp_path,
        config__properties="job_queue_size=1\nbatch_size=2\nmax_request_size=1000\nmax_batch_delay=7\n",
    )
    environ = {"SERVING_JOB_QUEUE_SIZE": "3", "SERVING_BATCH_SIZE": "4", "SERVING_MAX_WORKERS": "5"}
    found = settings(tmp_path, "job_queue_size=6", **environ)
    assert (found.job_queue_size, found.batch_size, found.max_workers) == (6, 4, 5)
    assert (found.max_request_bytes, found.max_batch_delay_ms) == (1000, 7)


@pytest.mark.parametrize(
    ("variable", "value", "field", "wanted"),
    [
        ("HF_MODEL_ID", "a/b", "model_id", "a/b"),
        ("HF_REVISION", "main", "revision", "main"),
        ("HF_MODEL_REVISION", "main", "revision", "main"),
        ("HF_MODEL_TRUST_REMOTE_CODE", "true", "trust_remote_code", True),
        ("HF_TRUST_REMOTE_CODE", "TRUE", "trust_remote_code", True),
        ("HF_TASK", "text-generation", "task", "text-generation"),
        ("HF_MODEL_QUANTIZE", "bitsandbytes8", "quantize", "bitsandbytes8"),
        ("MAX_BATCH_SIZE", "7", "max_rolling_batch_size", 7),
        ("MAX_CONCURRENT_REQUESTS", "7", "job_queue_size", 7),
        ("MODEL_LOADING_TIMEOUT", "7", "model_loading_timeout_s", 7),
        ("PREDICT_TIMEOUT", "7", "predict_timeout_s", 7),
        ("DJL_ENTRY_POINT", "djl_python.huggingface", "entry_point", "djl_python.huggingface"),
        ("OPTION_MAX_MODEL_LEN", '"2048"', "max_model_len", 2048),
        ("OPTION_ENTRYPOINT", "djl_python.huggingface", "entry_point", "djl_python.huggingface"),
        ("OPTION_ENGINE", "MPI", "engine", "MPI"),
        ("SERVING_LOAD_MODELS", "test::MPI=/opt/ml/model", "engine", "MPI"),
        ("SERVING_LOAD_MODELS", "[test::MPI:*]=file:///opt/ml/model", "engine", "MPI"),
        ("SERVING_MIN_WORKERS", "2", "min_workers", 2),
        ("SERVING_MAX_REQUEST_SIZE", "7", "max_request_bytes", 7),
        ("SERVING_CHUNKED_READ_TIMEOUT", "7", "chunked_read_timeout_s", 7),
        ("SERVING_RETRY_THRESHOLD", "7", "retry_threshold", 7),
        ("SERVING_CORS_ALLOWED_ORIGIN", "*", "cors_allowed_origin", "*"),
    ],
)
def test_a_variable_says_what_its_key_does(variable: str, value: str, field: str, wanted: object):
    found, _ = read_serving(None, {variable: value, "HOME": "/root"})
    assert getattr(found, field) == wanted


@pytest.mark.parametrize(
    "variable",
    [
        "TENSOR_PARALLEL_DEGREE",
        "PIPELINE_PARALLEL_DEGREE",
        "SM_NUM_GPUS",
        "MAX_BATCH_PREFILL_TOKENS",
        "SERVING_LOAD_MODELS",
    ],
)
def test_a_short_form_without_effect_says_what_becomes_of_it(variable: str):
    _, said = read_serving(None, {variable: "4"})
    assert [(notice.source, notice.message) for notice in said] == [(variable, "setting without effect")]


def test_the_long_form_of_a_variable_beats_the_short_one():
    environ = {"OPTION_MODEL_ID": "a/b", "HF_MODEL_ID": "c/d"}
    environ |= {"SERVING_JOB_QUEUE_SIZE": "1", "MAX_CONCURRENT_REQUESTS": "2"}
    found, _ = read_serving(None, environ)
    assert (found.model_id, found.job_queue_size) == ("a/b", 1)


def test_a_variable_without_a_value_says_nothing():
    assert read_serving(None, {"HF_MODEL_ID": "", "OPTION_DTYPE": '""'}) == (ServingSettings(), ())


def test_the_hubs_token_and_other_variables_are_none_of_a_models_settings():
    environ = {"HF_TOKEN": "hf_secret", "PATH": "/bin", "MODEL_SERVER_HOME": "/opt/djl"}
    assert read_serving(None, environ) == (ServingSettings(), ())


def test_of_a_key_given_twice_the_last_one_counts_and_it_is_said(tmp_path: Path):
    found, said = read_serving(model(tmp_path, "batch_size=2\n\nbatch_size=3\n"), {})
    assert found.batch_size == 3
    because = f"batch_size from {tmp_path}/serving.properties, line 3 counts"
    assert (
        Notice(
            "info",
            "setting given twice",
            "batch_size",
            "2",
            f"{tmp_path}/serving.properties, line 1",
            because,
        )
        in said
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("engine=PyTorch", "engine is 'PyTorch'; one of Python, MPI, DeepSpeed,"),
        ("batch_size=many", "batch_size is 'many'; a whole number from 1 to 999 is wanted"),
        ("batch_size=0", "batch_size is '0'; a whole number from 1"),
        ("job_queue_size=1.5", "job_queue_size is '1.5'; a whole number"),
        (
            "option.predict_timeout=soon",
            "option.predict_timeout is 'soon'; a number of seconds from 1 to 86400",
        ),
        ("option.trust_remote_code=maybe", "option.trust_remote_code is 'maybe'; true or false is wanted"),
        ("option.rolling_batch=fast", "option.rolling_batch is 'fast'; one of auto, vllm, lmi-dist,"),
        (
            "option.output_formatter=xml",
            "one of json, jsonlines, sse, json_chat, jsonlines_chat, sse_chat is",
        ),
        ("option.enable_streaming=yes", "one of true, false, huggingface is wanted"),
        ("option.tensor_parallel_degree=all", "a whole number from 1 to 1024, or max is wanted"),
        ("option.dtype=fp17", "option.dtype is 'fp17'; one of auto, fp32,"),
        ("option.entryPoint=djl_python.bart", "one of djl_python.huggingface, djl_python.deepspeed,"),
        ("option.entryPoint=handler.py", "there is no such file in /"),
        (f"option.entryPoint={'long' * 99}.py", "there is no such file in /"),
        ("option.entryPoint=https://example.org/model.py", "put the file beside serving.properties"),
        ("option.sessions_expiration=-1", "a number of seconds from 1 to"),
    ],
)
def test_a_wrong_value_names_file_line_key_and_what_is_wanted(tmp_path: Path, line: str, said: str):
    with pytest.raises(Unusable) as refused:
        settings(tmp_path, f"# a comment\n{line}\n")
    assert str(refused.value).startswith(
        f"{tmp_path}/serving.properties, line 2: {line.partition('=')[0]} is "
    )
    assert said in str(refused.value)


def test_a_wrong_value_of_a_variable_names_it():
    with pytest.raises(
        Unusable, match=r"^OPTION_MAX_LORAS: option.max_loras is 'x'; a whole number from 1 to 1024"
    ):
        read_serving(None, {"OPTION_MAX_LORAS": "x"})


def test_a_wrong_line_names_its_file(tmp_path: Path):
    with pytest.raises(Unusable, match=r"serving\.properties, line 1: \\u was given"):
        settings(tmp_path, r"option.model_id=C:\users\model")


@pytest.mark.parametrize(
    ("line", "nearest"),
    [
        ("option.rolling_bach=auto", "option.rolling_batch"),
        ("option.job_queue_size=4", "job_queue_size"),
        ("engin=MPI", "engine"),
        ("option.my_own=1", ""),
    ],
)
def test_an_unknown_key_is_a_warning_with_the_nearest_known_one(tmp_path: Path, line: str, nearest: str):
    (said,) = notices(tmp_path, line)
    assert (said.level, said.message, said.nearest) == ("warning", "setting unknown", nearest)
    assert said.because == "the handler gets it as an init property"


def test_every_key_of_the_model_reaches_its_handler_as_it_was_given(tmp_path: Path):
    found = settings(
        tmp_path,
        "engine=Python\noption.My_Own = x y \noption.s3url=s3://b/m\noption.dtype=fp16",
        OPTION_OTHER="1",
        ARGS_TEMPERATURE="2",
        SERVING_JOB_QUEUE_SIZE="3",
    )
    assert found.options == {
        "My_Own": "x y", "s3url": "s3://b/m", "model_id": "s3://b/m", "dtype": "fp16", "other": "1",
    }  # fmt: skip
    assert found.arguments == {"engine": "Python", "temperature": "2"}


def test_a_handler_of_ones_own_reads_options_in_its_own_way(tmp_path: Path):
    model(tmp_path, model__py="")
    found, said = read_serving(
        model(tmp_path, "option.dtype=float4\noption.device_map=auto\noption.predict_timeout=5"), {}
    )
    assert (found.own_handler, found.dtype, found.predict_timeout_s) == ("model.py", None, 5)
    assert found.options["dtype"] == "float4"
    assert [(notice.key, notice.message) for notice in said] == [
        ("option.device_map", "setting left to the handler")
    ]
    with pytest.raises(Unusable, match="predict_timeout"):
        settings(tmp_path, "option.predict_timeout=soon")


def test_a_handlers_file_or_module_may_have_any_name(tmp_path: Path):
    model(tmp_path, my_handler__py="")
    found = settings(tmp_path, "option.entryPoint=my_handler.py\noption.handler=answer")
    assert (found.own_handler, found.handler) == ("my_handler.py", "answer")
    assert settings(tmp_path, "option.entryPoint=my_package.serve").own_handler == "my_package.serve"


def test_a_model_that_generates_no_text_is_a_warning(tmp_path: Path):
    (said,) = notices(tmp_path, "option.entryPoint=djl_python.stable-diffusion")
    assert (said.level, said.because) == (
        "warning",
        "the built-in handler generates text only; what else a model does needs a model.py",
    )


@pytest.mark.parametrize(
    ("asked", "means"),
    [("/opt/ml/model", None), ("/opt/ml/model/llama", "llama"), ("/mnt/model", "/mnt/model"), ("a/b", "a/b")],
)
def test_where_a_container_keeps_its_model_is_the_models_folder(
    tmp_path: Path, asked: str, means: str | None
):
    wanted = str(tmp_path / means) if means == "llama" else means
    assert settings(tmp_path, "", HF_MODEL_ID=asked).model_id == wanted


@pytest.mark.parametrize(
    ("lines", "workers"),
    [
        ("minWorkers=2\nmaxWorkers=4", (2, 4)),
        ("minWorkers=3", (3, 3)),
        ("maxWorkers=3", (1, 3)),
        ("gpu.minWorkers=2\ngpu.maxWorkers=2", (2, 2)),
        ("minWorkers=2\ngpu.minWorkers=8\nmaxWorkers=2", (2, 2)),
        ("cpu.minWorkers=4\ncpu.maxWorkers=4\nminWorkers=1\nmaxWorkers=1", (4, 4)),
        ("minWorkers=0", (1, 1)),
    ],
)
def test_workers_are_counted_as_for_a_processor(tmp_path: Path, lines: str, workers: tuple[int, int]):
    found = settings(tmp_path, lines)
    assert (found.min_workers, found.max_workers) == workers


def test_more_workers_at_least_than_at_most_is_an_error(tmp_path: Path):
    with pytest.raises(
        Unusable, match=r"line 2: minWorkers is 3; at most 2, which is maxWorkers from .* line 1,"
    ):
        settings(tmp_path, "maxWorkers=2\nminWorkers=3")


@pytest.mark.parametrize(
    ("lines", "batching"),
    [
        ("batch_size=4", "disable"),
        ("batch_size=4\noption.rolling_batch=auto", "auto"),
        ("batch_size=1", "auto"),
        ("option.rolling_batch=Disable", "disable"),
        ("option.rolling_batch=disable\noption.async_mode=true", "auto"),
        ("option.rolling_batch=disable\noption.async_mode=false", "disable"),
    ],
)
def test_gathered_requests_join_no_rolling_batch_and_asynchronous_ones_do(
    tmp_path: Path, lines: str, batching: str
):
    assert settings(tmp_path, lines).rolling_batch == batching


@pytest.mark.parametrize(
    ("lines", "field", "value"),
    [
        ("option.load_in_8bit=True", "quantize", "bitsandbytes8"),
        ("option.load_in_4bit=True", "quantize", "bitsandbytes4"),
        ("option.load_in_8bit=False", "quantize", None),
        ("option.load_in_8bit=True\noption.quantize=awq", "quantize", "awq"),
        ("option.mpi_mode=true", "engine", "MPI"),
        ("option.mpi_mode=true\nengine=Python", "engine", "Python"),
    ],
)
def test_an_older_switch_says_what_its_newer_key_says(
    tmp_path: Path, lines: str, field: str, value: str | None
):
    assert getattr(settings(tmp_path, lines), field) == value


def test_a_key_under_another_backends_name_is_said_to_be_read_so(tmp_path: Path):
    (said,) = notices(tmp_path, "option.n_positions=512")
    assert (said.message, said.because) == ("setting read as another", "it is read as option.max_model_len")


def test_a_key_that_the_release_does_not_know_counts_and_it_is_said(tmp_path: Path):
    (said,) = notices(tmp_path, "option.max_model_len=512", version="0.25.0")
    assert said.because == "LMI knows it since 0.27; it counts"
    assert notices(tmp_path, "option.max_model_len=512", version="0.27") == ()
    assert notices(tmp_path, "option.max_model_len=512") == ()


def test_a_key_without_a_value_leaves_the_default_and_it_is_said(tmp_path: Path):
    found, said = read_serving(model(tmp_path, "option.quantize=\nbatch_size=\n"), {})
    assert (found.quantize, found.batch_size) == (None, 1)
    assert {notice.message for notice in said} == {"setting without a value"}


def test_no_secret_and_no_page_comes_into_a_remark(tmp_path: Path):
    said = notices(tmp_path, f"option.hf_token=hf_x\nkeystore_pass=x\noption.long={'y' * 1000}")
    assert [len(notice.value) for notice in said] == [len("(hidden)"), len("(hidden)"), 201]
    assert said[0].fields["value"] == "(hidden)"


def test_a_handlers_variables_are_given_in_one_line(tmp_path: Path):
    found = settings(tmp_path, "option.env=A=b=c, D = e,nonsense")
    assert found.handler_environment == {"A": "b=c", "D": "e"}


NAMES = st.sampled_from([name for key in KEYS for name in key.names] + ["option.other", ""])
VALUES = st.text() | st.sampled_from(
    ["1", "0", "true", "-1", "auto", "disable", "/opt/ml/model/..", "x.py", "\0.py"]
)


@given(st.dictionaries(NAMES, VALUES), st.dictionaries(NAMES, VALUES))
def test_whatever_is_said_is_settings_or_refused(said: dict[str, str], environ: dict[str, str]):
    variables = {f"OPTION_{name.removeprefix('option.').upper()}": value for name, value in said.items()}
    variables |= {f"SERVING_{name.upper()}": value for name, value in environ.items()}
    try:
        found, notices = read_serving(Path(__file__).parent, variables)
    except Unusable:
        return
    assert found.min_workers <= found.max_workers
    assert all(notice.fields["key"] for notice in notices if notice.key)
