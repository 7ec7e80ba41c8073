"""The repository keeps its own rules."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src" / "nearstream").rglob("*.py"))
PACKAGES = sorted(path.parent.name for path in (ROOT / "src" / "nearstream").glob("*/__init__.py"))


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_no_source_file_outgrows_four_hundred_lines() -> None:
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in long.items() if lines > 400} == {}


def test_every_module_opens_with_what_it_is_for() -> None:
    texts = {path: path.read_text() for path in SOURCES}
    assert [path for path, text in texts.items() if text.strip() and not text.startswith('"""')] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_the_architecture_says_what_each_package_is_for(package: str) -> None:
    assert f"| `{package}` |" in (ROOT / "ARCHITECTURE.md").read_text()


def test_the_architecture_names_modules_that_exist() -> None:
    source = ROOT / "src" / "nearstream"
    named = re.findall(r"\b([a-z_]+(?:\.[a-z_0-9]+)+)\b", (ROOT / "ARCHITECTURE.md").read_text())
    paths = [source.joinpath(*name.split(".")) for name in named if (source / name.split(".")[0]).is_dir()]
    # The last part may be a name in the module.
    gone = [path for path in paths if not (path.is_dir() or path.with_suffix(".py").is_file())]
    assert [path for path in gone if not path.parent.with_suffix(".py").is_file()] == []


def test_the_locks_have_hashes_and_name_no_host() -> None:
    locks = [path for path in tracked() if path.suffix == ".lock"]
    assert len(locks) >= 4
    for path in locks:
        text = path.read_text()
        assert "--hash=sha256:" in text
        assert re.findall(r"https?://|--index-url|--extra-index-url|--find-links", text) == [], path


def test_the_locks_of_npm_have_hashes_and_name_no_host() -> None:
    for path in (path for path in tracked() if path.name == "package-lock.json"):
        packages = json.loads(path.read_text())["packages"]
        assert all("integrity" in package for name, package in packages.items() if name), path
        assert not any("resolved" in package for package in packages.values()), path


def test_the_package_data_stays_small() -> None:
    data = [path for path in (ROOT / "src" / "nearstream" / "models" / "builtin").glob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in data) <= 24 * 1024 * 1024


def test_every_benchmark_figure_file_says_where_it_was_measured() -> None:
    for path in (ROOT / "benchmarks" / "results").glob("*.json"):
        assert '"machine"' in path.read_text(), path


def test_no_secret_and_no_home_is_committed() -> None:
    names = {path.name for path in tracked()}
    assert not names & {"credentials.json", "state.db", "nearstream.toml"}
