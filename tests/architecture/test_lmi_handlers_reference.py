"""docs/reference/lmi/handlers.md leaves no method of the handler API out."""

from __future__ import annotations

import re

import pytest
from tests.architecture.reference import REFERENCE, rows

from nearstream.handlers.runtime.djl_python import Input, Output


@pytest.mark.parametrize("kind", [Input, Output])
def test_every_method_has_a_row(kind: type):
    said = " ".join(what for what, _, _ in rows(REFERENCE / "lmi" / "handlers.md"))
    methods = [name for name in vars(kind) if not name.startswith("_") and callable(getattr(kind, name))]
    assert [name for name in methods if not re.search(rf"`{name}\b", said)] == []
