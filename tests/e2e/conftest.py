"""The sites that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.site import Site, nearstream


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One site for the tests that leave it as they found it; every model id runs the built-in model."""
    running = Site(tmp_path_factory.mktemp("site"), options=("--alias", "*=builtin"))
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[Site]:
    """A site for a test that breaks things."""
    running = Site(tmp_path / "home")
    try:
        running.start()
        yield running
    finally:
        running.stop()
        nearstream("down", home=running.home)
