"""The table of settings: an effective one fills its field, each other one says why it is ignored."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from tests.architecture.reference import REFERENCE, rows

from nearstream.config.serving.keys import KEYS, OPTION, SHORT_FORMS, Key, find
from nearstream.config.serving.read import read_serving
from nearstream.config.serving.settings import ServingSettings
from nearstream.core.errors import Unusable
from nearstream.core.rates import Rate

EFFECTIVE = [key for key in KEYS if key.effective]
IGNORED = [key for key in KEYS if not key.effective]
EXAMPLES: dict[str, tuple[str, object]] = {
    "engine": ("MPI", "MPI"),
    "job_queue_size": (" 7 ", 7),
    "batch_size": ("7", 7),
    "max_batch_delay": ("7", 7),
    "max_idle_time": ("7", 7),
    "minWorkers": ("7", 7),
    "maxWorkers": ("7", 7),
    "retry_threshold": ("7", 7),
    "max_request_size": ("7", 7),
    "chunked_read_timeout": ("7", 7),
    "cors_allowed_origin": ("*", "*"),
    "error_rate_any": ("10", Rate(10, 60.0)),
    "error_rate_server": ("0/P1DT2H", Rate(0, 93_600.0)),
    "error_rate_model": ("5/pt1m30.5s", Rate(5, 90.5)),
    "error_rate_wlm": ("1000/PT10M", Rate(1000, 600.0)),
    "option.model_id": ("a/b", "a/b"),
    "option.entryPoint": ("djl_python.deepspeed", "djl_python.deepspeed"),
    "option.handler": ("answer", "answer"),
    "option.env": ("A=b", {"A": "b"}),
    "option.model_loading_timeout": ("900", 900),
    "option.predict_timeout": ("7.5", 7.5),
    "option.revision": ("main", "main"),
    "option.trust_remote_code": ("TRUE", True),
    "option.task": ("text-generation", "text-generation"),
    "option.rolling_batch": ("LMI-Dist", "lmi-dist"),
    "option.max_rolling_batch_size": ("64", 64),
    "option.max_model_len": ("2048", 2048),
    "option.output_formatter": ("jsonlines_chat", "jsonlines_chat"),
    "option.enable_streaming": ("HuggingFace", "huggingface"),
    "option.tgi_compat": ("1", True),
    "option.dtype": ("bf16", "bf16"),
    "option.quantize": ("bitsandbytes4", "bitsandbytes4"),
    "option.load_in_8bit": ("true", "bitsandbytes8"),
    "option.load_in_4bit": ("true", "bitsandbytes4"),
    "option.mpi_mode": ("true", "MPI"),
    "option.async_mode": ("true", "auto"),
    "option.enable_lora": ("True", True),
    "option.max_loras": ("8", 8),
    "option.chat_template": ("{{ messages }}", "{{ messages }}"),
    "option.enable_stateful_sessions": ("true", True),
    "option.sessions_expiration": ("3600", 3600),
}


@pytest.mark.parametrize("key", EFFECTIVE, ids=lambda key: key.name)
def test_every_key_that_is_heeded_fills_its_field_under_each_of_its_names(tmp_path: Path, key: Key):
    value, wanted = EXAMPLES[key.name]
    for name in key.names:
        (tmp_path / "serving.properties").write_text(f"{name}={value}\n")
        found, _ = read_serving(tmp_path, {})
        assert getattr(found, key.fills or key.implies[0]) == wanted, name


@pytest.mark.parametrize("key", IGNORED, ids=lambda key: key.name)
def test_every_key_without_effect_says_what_becomes_of_it(tmp_path: Path, key: Key):
    (tmp_path / "serving.properties").write_text("".join(f"{name} = 1\n" for name in key.names[:1]))
    found, (said,) = read_serving(tmp_path, {})
    assert (said.level, said.message, said.key, said.because) == (
        "info",
        "setting without effect",
        key.name,
        key.reason,
    )
    assert said.because
    assert found == ServingSettings(tmp_path, options=found.options, arguments=found.arguments)


@pytest.mark.parametrize(
    "key", [key for key in KEYS if key.name.startswith(OPTION)], ids=lambda key: key.name
)
def test_every_option_has_a_variable(key: Key):
    value = EXAMPLES[key.name][0] if key.effective else "1"
    variable = f"OPTION_{key.name.removeprefix(OPTION).upper()}"
    found, said = read_serving(None, {variable: value})
    assert found.options == {key.name.removeprefix(OPTION): value.strip()}
    assert [notice for notice in said if notice.level == "warning"] == []


@pytest.mark.parametrize(
    "key", [key for key in KEYS if not key.name.startswith(OPTION)], ids=lambda key: key.name
)
def test_every_key_of_the_server_has_a_variable(key: Key):
    value = EXAMPLES[key.name][0] if key.effective else "1"
    if key.name == "engine":
        value, variable = "test::MPI=/opt/ml/model", "SERVING_LOAD_MODELS"
    else:
        variable = f"SERVING_{key.name.upper()}"
    found, said = read_serving(None, {variable: value})
    if key.effective:
        assert getattr(found, key.fills) == EXAMPLES[key.name][1]
    assert [notice for notice in said if notice.level == "warning"] == []


def test_a_key_of_the_server_may_be_told_as_an_option_too():
    found, _ = read_serving(None, {"OPTION_JOB_QUEUE_SIZE": "7", "OPTION_MINWORKERS": "2"})
    assert (found.job_queue_size, found.min_workers) == (7, 2)


def test_the_table_names_no_key_twice_and_no_field_that_is_not_there():
    names = [name for key in KEYS for name in key.names]
    assert len(names) == len(set(names))
    there = {field.name for field in fields(ServingSettings)}
    assert {key.fills or key.implies[0] for key in EFFECTIVE} <= there
    assert there - {key.fills for key in EFFECTIVE} == {"directory", "options", "arguments"}
    assert {key.name for key in EFFECTIVE} == set(EXAMPLES)
    assert all(find(name) for name in SHORT_FORMS.values())


def test_the_reference_has_a_row_for_every_key_and_short_form():
    page = REFERENCE / "lmi" / "configuration.md"
    status = {name: status for what, status, _ in rows(page) for name in re.findall(r"`([^`]+)`", what)}
    names = {name for key in KEYS for name in key.names} | set(SHORT_FORMS)
    assert names - set(status) == set()
    assert {name: status[name] for key in IGNORED for name in key.names} == {
        name: f"accepted, logged: {key.reason}" for key in IGNORED for name in key.names
    }


@pytest.mark.parametrize(
    "value", ["x", "1/", "1/5M", "1/P", "1/PT", "1/PT0S", "-1/PT1M", "1/PT1M/2", "1/-PT1M"]
)
def test_a_rate_that_says_no_duration_is_an_error(value: str):
    with pytest.raises(Unusable, match=r"SERVING_ERROR_RATE_ANY.*as 10/PT5M, is wanted"):
        read_serving(None, {"SERVING_ERROR_RATE_ANY": value})


def test_the_rates_that_are_set_come_by_their_names():
    found, _ = read_serving(None, {"SERVING_ERROR_RATE_ANY": "", "SERVING_ERROR_RATE_WLM": "2/PT5M"})
    assert found.error_rates == {"wlm": Rate(2, 300.0)}
