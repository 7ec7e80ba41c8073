"""What a container's variables say of adapters."""

from __future__ import annotations

import pytest

from nearstream.config.container import container_settings
from nearstream.core.errors import Unusable


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("", ()),
        ("org/support", (("org/support", "org/support"),)),
        ("support=/adapters/one", (("support", "/adapters/one"),)),
        ("org/a@v2, b = /b ,", (("org/a@v2", "org/a@v2"), ("b", "/b"))),
    ],
)
def test_adapters_are_named_as_tgi_names_them(told: str, found: tuple[tuple[str, str], ...]):
    assert container_settings({"LORA_ADAPTERS": told}).lora_adapters == found


@pytest.mark.parametrize(("told", "said"), [("a=", "'a='"), ("=/b", "'=/b'"), ("a=/b,a=/c", "'a' twice")])
def test_an_adapter_without_a_name_or_a_path_is_refused(told: str, said: str):
    with pytest.raises(Unusable, match=f"LORA_ADAPTERS has .*{said}"):
        container_settings({"LORA_ADAPTERS": told})


def test_how_many_adapters_answer_at_once_is_a_number():
    assert container_settings({}).max_active_adapters == 1
    assert container_settings({"MAX_ACTIVE_ADAPTERS": "3"}).max_active_adapters == 3
    with pytest.raises(Unusable, match="MAX_ACTIVE_ADAPTERS"):
        container_settings({"MAX_ACTIVE_ADAPTERS": "0"})
