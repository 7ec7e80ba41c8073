"""A model's folder on this machine, which may come packed."""

from __future__ import annotations

import asyncio
import zipfile
from pathlib import Path

import pytest

from nearstream.core.errors import Unusable
from nearstream.models.local import local_folder


def packed(path: Path, text: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.py", text)
    return path


async def test_a_folder_is_itself_by_path_or_by_address(tmp_path: Path):
    folder = tmp_path / "a b"
    folder.mkdir()
    for url in (str(folder), f"file://{tmp_path}/a%20b", f"file://localhost{tmp_path}/a%20b"):
        assert await local_folder(url, tmp_path / "cache") == folder
    assert await local_folder(str(tmp_path / "none.zip"), tmp_path / "cache") == tmp_path / "none.zip"


async def test_an_archive_is_unpacked_once_and_anew_when_it_is_another(tmp_path: Path):
    archive, cache = packed(tmp_path / "m.zip", "one"), tmp_path / "cache"
    first, *others = await asyncio.gather(*(local_folder(str(archive), cache) for _ in range(4)))
    assert others == [first] * 3
    assert (first / "model.py").read_text() == "one"
    archive.unlink()
    other = await local_folder(str(packed(archive, "two and more")), cache)
    assert (other / "model.py").read_text() == "two and more"
    assert len([path for path in (cache / "archives").iterdir() if path.is_dir()]) == 2


@pytest.mark.parametrize("url", ["https://a.example/m.zip", "djl://ai.djl/m", "file://other/m.zip"])
async def test_what_lies_elsewhere_is_refused_with_what_to_do(tmp_path: Path, url: str):
    with pytest.raises(
        Unusable, match="is not on this machine; a folder or an archive that is here, or an s3://"
    ):
        await local_folder(url, tmp_path)


async def test_a_broken_archive_leaves_nothing(tmp_path: Path):
    archive = tmp_path / "m.zip"
    archive.write_bytes(packed(tmp_path / "n.zip", "x" * 1000).read_bytes()[:50])
    with pytest.raises(Unusable, match=r"m\.zip"):
        await local_folder(str(archive), tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache" / "archives").iterdir()] == [".lock"]
