"""The checks that numpy takes are those of their definition."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearstream.wire.aws.s3.crc import CRC32, CRC32C, CRC64NVME, LANE_BYTES, Polynomial

DATA = bytes(range(256)) * (LANE_BYTES // 8)


@pytest.mark.parametrize(
    ("polynomial", "check"), [(CRC32, 0xCBF43926), (CRC32C, 0xE3069283), (CRC64NVME, 0xAE8B14860A799888)]
)
def test_the_check_of_nine_digits_is_the_published_one(polynomial: Polynomial, check: int) -> None:
    assert polynomial.update(b"123456789") == check


@given(size=st.integers(0, len(DATA)), cut=st.integers(0, len(DATA)))
def test_data_cut_anywhere_has_the_check_of_the_whole(size: int, cut: int) -> None:
    data = DATA[:size]
    first, second = data[:cut], data[cut:]
    assert CRC32.update(second, CRC32.update(first)) == zlib.crc32(data)
    for polynomial in (CRC32C, CRC64NVME):
        whole = polynomial.update(data)
        assert polynomial.update(second, polynomial.update(first)) == whole
        assert polynomial.joined(polynomial.update(first), polynomial.update(second), len(second)) == whole
