from __future__ import annotations

import pytest

from nearstream.models.weights import quantised_to


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (("bitsandbytes",), "int8"),
        (("bitsandbytes-nf4",), "int4"),
        ((None, "int8"), "int8"),
        (("awq", "int4"), "int4"),
        (("int4", "int8"), "int4"),
        (("awq",), None),
        ((None,), None),
    ],
)
def test_the_first_name_that_asks_for_smaller_weights_counts(names, wanted):
    assert quantised_to(*names) == wanted
