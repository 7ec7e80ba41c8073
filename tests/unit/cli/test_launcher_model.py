"""Which model the launcher and `serve` run."""

from __future__ import annotations

from pathlib import Path

import pytest

from nearstream.compose.model_server import ServeOptions, revised


def options(model: str, model_id: str) -> ServeOptions:
    return ServeOptions(model=model, model_id=model_id, version="", host="", port=None, uds=None)


@pytest.mark.parametrize(
    ("asked", "revision", "runs"),
    [
        ("org/model", "v1", "org/model@v1"),
        ("org/model", None, "org/model"),
        ("org/model@v2", "v1", "org/model@v2"),
        ("builtin", "v1", "builtin"),
        ("/opt/ml/model", "v1", "/opt/ml/model"),
    ],
)
def test_a_revision_is_of_a_hubs_model(asked: str, revision: str | None, runs: str):
    assert revised(options(asked, asked), revision) == runs


def test_a_revision_is_not_of_the_model_that_stands_in():
    assert revised(options("org/small", "org/large"), "v1") == "org/small"


def test_a_revision_is_not_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "models" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert revised(options("models/mine", "models/mine"), "v1") == "models/mine"
