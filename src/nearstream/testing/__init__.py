"""Sites for tests: the fixture `sagemaker_site`, and its site for test runners other than pytest.

ScriptedSite    a site in this process whose endpoints say what a test tells them to
SiteInThread    nearstream.Site, a real one, for code without asyncio
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nearstream.testing.scripted_site import ScriptedSite
    from nearstream.testing.site_in_thread import SiteInThread

__all__ = ["ScriptedSite", "SiteInThread"]

# pytest imports this package at every start, for its plugin: what takes time waits until it is used.
_MODULES = {
    "ScriptedSite": "nearstream.testing.scripted_site",
    "SiteInThread": "nearstream.testing.site_in_thread",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'nearstream.testing' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
