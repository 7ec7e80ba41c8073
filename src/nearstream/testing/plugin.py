"""A pytest plugin: a site for each test that asks for one. pytest finds it by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from nearstream.testing.scripted_site import ScriptedSite


@pytest.fixture
def sagemaker_site() -> Iterator[ScriptedSite]:
    """A SageMaker site of this test alone, on a free port, with an endpoint that says what it is told to.

    See `nearstream.testing.ScriptedSite`.
    """
    # Imported here, so that tests without it do not pay for it.
    from nearstream.testing.scripted_site import ScriptedSite  # noqa: PLC0415

    with ScriptedSite() as site:
        yield site


@pytest.fixture
def sagemaker_environment(sagemaker_site: ScriptedSite, monkeypatch: pytest.MonkeyPatch) -> ScriptedSite:
    """The same site, with the variables set by which boto3 finds it: for code that makes its own clients."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in sagemaker_site.environment.items():
        monkeypatch.setenv(name, value)
    return sagemaker_site
