"""What TGI's launcher is told, by flags, variables and SageMaker, and what it says of mistakes."""

from __future__ import annotations

import pytest

from nearstream.cli.launcher import main
from nearstream.config.launcher import FLAGS, launcher_settings
from nearstream.core.errors import Missing, Unusable

BOTH = (
    "Both `max_input_tokens` (20) and `max_input_length` (30) are set. Please define only "
    "`max_input_tokens` as `max_input_length is deprecated for naming consistency."
)


def test_nothing_told_is_tgis_defaults():
    settings = launcher_settings({}, {})
    assert (settings.hostname, settings.port) == ("0.0.0.0", 3000)
    container = settings.container
    assert (container.max_concurrent_requests, container.max_best_of) == (128, 2)
    assert (container.max_stop_sequences, container.max_top_n_tokens) == (4, 5)
    assert (container.max_client_batch_size, container.payload_limit) == (4, 2_000_000)
    assert container.graceful_termination_timeout == 90
    assert settings.ignored == ()


def test_a_flag_beats_its_variable():
    environ = {"PORT": "1", "MAX_TOTAL_TOKENS": "100", "MODEL_ID": "a/b"}
    settings = launcher_settings({"PORT": "2", "MODEL_ID": "c/d"}, environ)
    assert (settings.port, settings.container.max_total_tokens) == (2, 100)
    assert settings.container.hf_model_id == "c/d"


def test_sagemakers_variables_mean_tgis_and_may_be_json():
    environ = {
        "HF_MODEL_ID": "tiiuae/falcon-7b-instruct",
        "HF_MODEL_REVISION": '"v1"',
        "SM_NUM_GPUS": '"4"',
        "HF_MODEL_QUANTIZE": "bitsandbytes",
        "MAX_INPUT_LENGTH": '"1024"',
        "MAX_TOTAL_TOKENS": '"2048"',
    }
    settings = launcher_settings({}, environ)
    assert settings.port == 8080
    assert settings.container.hf_model_id == "tiiuae/falcon-7b-instruct"
    assert settings.container.hf_model_revision == "v1"
    assert (settings.container.max_input_tokens, settings.container.max_total_tokens) == (1024, 2048)
    assert settings.quantize == "bitsandbytes"
    assert [flag.name for flag in settings.ignored] == ["num-shard"]


@pytest.mark.parametrize("environ", [{"SM_NUM_GPUS": "1"}, {"HF_MODEL_QUANTIZE": "gptq"}])
def test_sagemaker_without_a_model_is_refused(environ: dict[str, str]):
    with pytest.raises(Missing, match=r"^HF_MODEL_ID must be set$"):
        launcher_settings({}, environ)
    with pytest.raises(Missing):
        launcher_settings({}, {}, sagemaker=True)
    assert launcher_settings({"MODEL_ID": "builtin"}, environ).port == 3000


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            {"MAX_INPUT_TOKENS": "20", "MAX_TOTAL_TOKENS": "20"},
            "`max_input_tokens`(20) must be < `max_total_tokens`(20)",
        ),
        (
            {"MAX_TOTAL_TOKENS": "200", "MAX_BATCH_TOTAL_TOKENS": "100"},
            "`max_total_tokens` must be <= `max_batch_total_tokens`. Given: 200 and 100",
        ),
        (
            {"MAX_INPUT_TOKENS": "20", "MAX_INPUT_LENGTH": "30"},
            BOTH,
        ),
    ],
)
def test_limits_that_exclude_each_other_are_refused_in_tgis_words(flags: dict[str, str], said: str):
    with pytest.raises(Unusable) as caught:
        launcher_settings(flags, {})
    assert str(caught.value) == said


def test_what_is_wrong_is_printed_as_tgi_prints_it(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["--max-input-tokens", "20", "--max-total-tokens=20"])
    assert ended.value.code == 1
    said = 'Error: ArgumentValidation("`max_input_tokens`(20) must be < `max_total_tokens`(20)")\n'
    assert capsys.readouterr().err == said


def test_sagemaker_without_a_model_prints_one_line(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["serve"])
    assert (ended.value.code, capsys.readouterr().out) == (1, "HF_MODEL_ID must be set\n")


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "127.0.0.1"),
        ("::1", "::1"),
        ("4f1d2c3b5a69", "0.0.0.0"),
    ],
)
def test_a_containers_own_name_means_every_address(told: str, address: str):
    assert launcher_settings({}, {"HOSTNAME": told}).hostname == address


@pytest.mark.parametrize("told", ["port", "65536", "-1"])
def test_a_port_is_a_number(told: str):
    with pytest.raises(Unusable, match="PORT is"):
        launcher_settings({"PORT": told}, {})


@pytest.mark.parametrize(
    ("told", "level"), [("", "info"), ("warn", "warning"), ("debug,hyper=info", "debug"), ("odd", "info")]
)
def test_the_log_level_is_rusts(told: str, level: str):
    assert launcher_settings({}, {"LOG_LEVEL": told}).log_level == level


def test_several_origins_may_call():
    told = launcher_settings({"CORS_ALLOW_ORIGIN": "https://a.example,https://b.example"}, {})
    assert told.container.cors_allow_origins == ("https://a.example", "https://b.example")
    assert launcher_settings({}, {}).container.cors_allow_origins == ()


def test_a_switch_is_on_by_its_name_or_by_true():
    assert launcher_settings({}, {"JSON_OUTPUT": "true"}).json_output
    assert not launcher_settings({}, {"JSON_OUTPUT": "false"}).json_output
    assert launcher_settings({"PLAIN_TEXT_ERRORS": "true"}, {}).container.plain_text_errors
    assert not launcher_settings({}, {}).container.plain_text_errors


def test_every_flag_without_effect_says_what_becomes_of_it(capsys: pytest.CaptureFixture[str]):
    given = {
        flag.variable: "1" for flag in FLAGS if flag.name not in ("max-input-length", "max-input-tokens")
    }
    settings = launcher_settings(given, {})
    assert {flag.name for flag in settings.ignored} == {flag.name for flag in FLAGS if flag.reason}
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert all(f"--{flag.name}" in shown for flag in FLAGS)
    assert "no effect: one process on the CPU runs the model" in shown
