"""Every relative link of every page in the repository leads to a file, and every anchor to a heading."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest
from tests.architecture.test_repository import ROOT, tracked

PAGES = [path for path in tracked() if path.suffix == ".md" and path.exists()]
_FENCED = re.compile(r"^( *)(```|~~~).*?^\1\2", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]*`")
_INLINE = r"(?<!\\)\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?[^)]*\)"
_REFERENCE = r"^\[[^\]]+\]: +(\S+)"
_LINK = re.compile(rf"{_INLINE}|{_REFERENCE}", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6} +(.+?)(?: +#+)?$", re.MULTILINE)


def prose_of(page: Path) -> str:
    return _FENCED.sub("", page.read_text())


def links_of(page: Path) -> Iterator[str]:
    for inline, reference in _LINK.findall(_CODE.sub("", prose_of(page))):
        yield unquote(inline or reference)


@cache
def anchors_of(page: Path) -> frozenset[str]:
    """As a file host makes them of headings: lower case, no punctuation, hyphens for blanks."""
    titles = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in _HEADING.findall(prose_of(page)))
    return frozenset(re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_of_a_page_leads_somewhere(page: Path) -> None:
    for link in links_of(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT), f"{link} leads out of the repository"
        assert target.exists(), f"{link}: there is no such file"
        assert not anchor or anchor in anchors_of(target), f"{link}: there is no such heading"


def test_the_index_of_the_documentation_names_every_page_of_it() -> None:
    index = ROOT / "docs" / "README.md"
    named = {(index.parent / link.partition("#")[0]).resolve() for link in links_of(index)}
    pages = {page for page in PAGES if page.is_relative_to(index.parent)} - {index}
    assert sorted(page.relative_to(ROOT).as_posix() for page in pages - named) == []


def test_the_website_shows_every_page_of_the_documentation() -> None:
    site = (ROOT / "mkdocs.yml").read_text()
    pages = [page.relative_to(ROOT).as_posix() for page in PAGES if page.is_relative_to(ROOT / "docs")]
    assert [page for page in pages if f" {page}\n" not in site] == []
