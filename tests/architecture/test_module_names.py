"""No two modules of one package share a noun, so that a reader who looks for one finds one."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2] / "src" / "nearstream"

SHARED = {
    ("client", "client"): "the same client with and without asyncio",
    ("compose", "server"): "one module for each kind of model server",
    ("handlers/runtime/djl_python", "util"): "the names by which a user's model.py imports DJL's own modules",
    ("wire/dialects", "body"): "bodies in JSON, and those bodies with an adapter beside them",
}
"""Package and noun, and why they are not told apart by their nouns."""


def noun(name: str) -> str:
    """The last word of a module's name, in the singular."""
    word = name.rsplit("_", 1)[-1]
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def shared_nouns(root: Path) -> dict[tuple[str, str], list[str]]:
    found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for path in sorted([*root.rglob("*.py"), *root.rglob("*/")]):
        is_package = (path / "__init__.py").is_file()
        if is_package or (path.suffix == ".py" and not path.stem.startswith("__")):
            found[path.parent.relative_to(root).as_posix(), noun(path.stem)].append(path.stem)
    return {key: names for key, names in found.items() if len(names) > 1}


def test_no_two_modules_of_a_package_share_a_noun() -> None:
    assert shared_nouns(ROOT).keys() == SHARED.keys()


def test_a_shared_noun_is_found(tmp_path: Path) -> None:
    for name in ("answer", "answers", "s3_bodies", "raw_body", "process", "other"):
        (tmp_path / f"{name}.py").touch()
    assert shared_nouns(tmp_path) == {
        (".", "answer"): ["answer", "answers"],
        (".", "body"): ["raw_body", "s3_bodies"],
    }
