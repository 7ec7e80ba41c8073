"""Gives the website the layout of the repository, so that a relative link means the same on a file host."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.exceptions import BuildError
from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

ROOT = Path(__file__).parents[2]
SHOWN = (
    "*.md",
    "LICENSE",
    "docs/**/*.md",
    "adr/*.md",
    "examples/**/*",
    "training/*.md",
    "benchmarks/results/*.json",
    "src/nearstream/models/builtin/MODEL_CARD.md",
)
_TESTS_OF_A_ROW = re.compile(r" <!-- tests/.*? -->")
_FETCHED = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=["']?(https?:)?//[^>]*>""")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """What the theme brings, and the files that the documentation links to, under their paths here."""
    kept = [file for file in files if not file.is_documentation_page() and file.src_dir != config.docs_dir]
    paths = sorted({path for pattern in SHOWN for path in ROOT.glob(pattern) if path.is_file()})
    own = [
        File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path))
        for path in paths
        if "__pycache__" not in path.parts
    ]
    return Files([*kept, *own])


def on_page_markdown(markdown: str, **_: object) -> str:
    """The comments that name tests are for who works on the project."""
    return _TESTS_OF_A_ROW.sub("", markdown)


def on_post_page(output: str, page: object, **_: object) -> str:
    """A page that would fetch something from another host is an error."""
    if found := _FETCHED.search(output):
        raise BuildError(f"{page} fetches from another host: {found[0]}")
    return output
