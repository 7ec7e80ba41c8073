"""A pytest plugin: a site for each test that asks for one. pytest finds it by itself."""

from __future__ import annotations

import sys
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
def sagemaker_environment(
    sagemaker_site: ScriptedSite, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ScriptedSite]:
    """The same site, with the variables set by which boto3 finds it: for code that makes its own clients."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in sagemaker_site.environment.items():
        monkeypatch.setenv(name, value)
    # `boto3.client` keeps a session, and that the keys that it found first: those of another test, or site.
    before = _default_session(None)
    yield sagemaker_site
    _default_session(before)


def _default_session(session: object) -> object:
    """Put another session in place of boto3's, which is returned; None where boto3 is not imported."""
    boto3 = sys.modules.get("boto3")
    if boto3 is None:
        return None
    before: object = boto3.DEFAULT_SESSION
    boto3.DEFAULT_SESSION = session  # type: ignore[attr-defined]
    return before
