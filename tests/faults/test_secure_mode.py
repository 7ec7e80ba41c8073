"""The secure mode switches code, requirements, templates, pickles and hubs off by name, and says which."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.ports import free_port

from nearstream.config.settings import Settings, load, replica_environment
from nearstream.core.errors import Unusable
from nearstream.core.models import ModelFormat
from nearstream.core.restrictions import SWITCHES, Restrictions
from nearstream.models.builtin import builtin_path
from nearstream.models.lora.store import adapter_store
from nearstream.models.pickles import check_pickles
from nearstream.models.resolve import resolve

IR: tuple[ModelFormat, ...] = ("ir",)
ALL = Restrictions(frozenset(SWITCHES))
HANDLER = "import pathlib\npathlib.Path({marker!r}).touch()\ndef handle(inputs): ...\n"


def serve(folder: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`nearstream serve --as lmi`, which is to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "nearstream", "serve", "--as", "lmi", "--model-dir", str(folder), "--port",
         str(free_port()), *options],
        env={**os.environ, "NEARSTREAM_HOME": str(folder.parent / "home"), **variables},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def folder_with(tmp_path: Path, **files: str) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def test_a_model_py_is_not_run(tmp_path: Path):
    marker = tmp_path / "ran"
    folder = folder_with(tmp_path, model__py=HANDLER.format(marker=str(marker)))
    for options, variables in (
        (("--secure-mode",), {}),
        ((), {"NEARSTREAM_SECURE_MODE": "custom-code"}),
        ((), {"NEARSTREAM_SECURE_MODE": "true"}),
    ):
        done = serve(folder, *options, **variables)
        assert done.returncode != 0
        assert (
            "model.py of the model model is not run: the secure mode switches custom-code off" in done.stderr
        )
    assert not marker.exists()


def test_requirements_are_not_installed(tmp_path: Path):
    marker = tmp_path / "ran"
    folder = folder_with(
        tmp_path, model__py=HANDLER.format(marker=str(marker)), requirements__txt="no-such-package\n"
    )
    done = serve(folder, NEARSTREAM_SECURE_MODE="requirements")
    assert done.returncode != 0
    assert "requirements.txt is not installed: the secure mode switches requirements off" in done.stderr
    assert not marker.exists()


def test_a_chat_template_of_the_settings_or_the_data_is_not_used(tmp_path: Path):
    folder = folder_with(
        tmp_path, serving__properties="option.model_id=builtin\noption.chat_template={{ 1 }}\n"
    )
    done = serve(folder, NEARSTREAM_SECURE_MODE="chat-templates")
    assert done.returncode != 0
    assert "option.chat_template is not used: the secure mode switches chat-templates off" in done.stderr
    data = tmp_path / "data"
    shutil.copytree(builtin_path(), data)
    done = serve(data, NEARSTREAM_SECURE_MODE="chat-templates")
    assert done.returncode != 0
    assert "is not used: the secure mode switches chat-templates off" in done.stderr


@pytest.mark.parametrize(
    ("name", "pickle"),
    [
        ("pytorch_model.bin", True), ("pytorch_model-00001-of-00002.bin", True), ("model.pt", True),
        ("model.PTH", True), ("state.pkl", True), ("model.ckpt", True), ("model.joblib", True),
        ("training_args.bin", True), ("model.safetensors", False), ("openvino_model.bin", False),
        ("openvino_tokenizer.bin", False), ("config.json", False),
    ],
)  # fmt: skip
def test_a_pickle_is_known_by_its_name(tmp_path: Path, name: str, pickle: bool):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / name).touch()
    check_pickles(tmp_path, Restrictions())
    if not pickle:
        check_pickles(tmp_path, ALL)
        return
    with pytest.raises(Unusable, match="the secure mode switches pickles off"):
        check_pickles(tmp_path, ALL)


async def test_a_model_with_a_pickle_beside_it_is_not_read(tmp_path: Path):
    folder = tmp_path / "model"
    shutil.copytree(builtin_path(), folder)
    assert await resolve(str(folder), formats=IR, cache=tmp_path, restrictions=ALL)
    (folder / "pytorch_model.bin").touch()
    with pytest.raises(Unusable, match="switches pickles off"):
        await resolve(str(folder), formats=IR, cache=tmp_path, restrictions=ALL)


async def test_no_model_and_no_adapter_comes_from_a_hub(tmp_path: Path):
    with pytest.raises(Unusable, match=r"org/model is not fetched from a hub: .* switches remote-hubs off"):
        await resolve("org/model", formats=IR, cache=tmp_path, restrictions=ALL)
    refused = pytest.raises(Unusable, match=r"the adapter org/lora .* switches remote-hubs off")
    with adapter_store(tmp_path, {"lm_head": (1, 1)}, ALL) as store, refused:
        await store.prepare("org/lora")


async def test_the_built_in_model_runs_all_the_same(tmp_path: Path):
    model = await resolve("builtin", formats=IR, cache=tmp_path, restrictions=ALL)
    assert model.name == "builtin"


def test_the_mode_is_set_by_flag_variable_or_file_and_its_switches_by_name(tmp_path: Path):
    config = tmp_path / "nearstream.toml"
    config.write_text('secure_mode = ["pickles", "remote-hubs"]\n')
    assert load({"config": config}, {}).secure_mode == ("pickles", "remote-hubs")
    config.write_text("secure_mode = true\n")
    assert load({"config": config}, {}).secure_mode == SWITCHES
    named = ("custom-code", "pickles")
    for text, wanted in (("all", SWITCHES), ("1", SWITCHES), ("false", ()), (",".join(named), named)):
        assert load({"home": tmp_path / "x"}, {"NEARSTREAM_SECURE_MODE": text}).secure_mode == wanted
    with pytest.raises(Unusable, match="custom-code, requirements, chat-templates, pickles, remote-hubs"):
        load({"home": tmp_path / "x"}, {"NEARSTREAM_SECURE_MODE": "everything"})


def test_replicas_are_started_in_the_mode_of_their_site(tmp_path: Path):
    settings = Settings(secure_mode=("pickles", "remote-hubs"))
    environ = replica_environment(settings, tmp_path, (), {})
    assert load({"home": tmp_path}, environ).secure_mode == ("pickles", "remote-hubs")
