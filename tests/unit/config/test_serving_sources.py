"""Files of settings that cannot be read are refused before anything of them counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from nearstream.config.serving.sources import SIZE_LIMIT_BYTES, read_properties, startup_name
from nearstream.core.errors import Unusable


def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    large = tmp_path / "serving.properties"
    large.write_bytes(b"a" * (SIZE_LIMIT_BYTES + 1))
    with pytest.raises(Unusable, match="is larger than"):
        read_properties(large)


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="cannot be read: Is a directory"):
        read_properties(tmp_path)


def test_a_malformed_file_is_refused_with_its_place(tmp_path: Path) -> None:
    malformed = tmp_path / "serving.properties"
    malformed.write_bytes(b"a=b\nc=C:\\users\n")
    with pytest.raises(Unusable, match=r"serving\.properties, line 2: \\u was given"):
        read_properties(malformed)


@pytest.mark.parametrize(
    ("value", "name", "version"),
    [
        ("test::MPI=/opt/ml/model", "test", None),
        ("test::Python:*=/opt/ml/model", "test", None),
        ("[test:1.0:Python]=s3://b/m", "test", "1.0"),
        ("test=/opt/ml/model", "test", None),
        ("[test]=/opt/ml/model", "test", None),
        ('"test::=file:///m"', "test", None),
        ("test::=/m,other=/n", "test", None),
        ("/opt/ml/model", None, None),
        ("ALL", None, None),
        ("", None, None),
        ("file:///opt/m?a=b", None, None),
    ],
)
def test_the_variable_for_models_to_load_names_the_model_of_the_start(
    value: str, name: str | None, version: str | None
):
    assert startup_name({"SERVING_LOAD_MODELS": value}) == (name, version)
