"""Cyclic redundancy checks that the standard library lacks: CRC32C and CRC64NVME, many bytes at a time.

A block is cut into lanes of equal length, whose checks are taken side by side with numpy (openvino-genai
brings it) and then joined. Joining is multiplication by a power of x modulo the polynomial, which is also how
the checks of an upload's parts become the check of the whole object.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from numpy import uint64
    from numpy.typing import NDArray

    Words = NDArray[uint64]

LANE_BYTES: Final = 1024
# Below so many lanes a byte at a time is quicker.
_FEWEST_LANES: Final = 8


@dataclass(frozen=True)
class Polynomial:
    """A reflected check of `width` bits whose register starts and ends inverted."""

    width: int
    reflected: int

    @property
    def ones(self) -> int:
        return (1 << self.width) - 1

    @cached_property
    def table(self) -> list[int]:
        """What each byte does to an empty register."""
        table = []
        for byte in range(256):
            register = byte
            for _ in range(8):
                register = (register >> 1) ^ (self.reflected if register & 1 else 0)
            table.append(register)
        return table

    @cached_property
    def wide_tables(self) -> list[Words]:
        """What the four pairs of bytes in a word of eight do to an empty register."""
        import numpy as np  # noqa: PLC0415  # only for who sends such checks

        table, low, byte = np.array(self.table, dtype=np.uint64), np.uint64(0xFF), np.uint64(8)
        register = np.arange(65536, dtype=np.uint64)
        tables: list[Words] = []
        for _ in range(4):
            for _ in range(2):
                register = table[register & low] ^ (register >> byte)
            tables.insert(0, register)
        return tables

    def update(self, data: bytes, value: int = 0) -> int:
        """The check of all bytes so far, when `value` is that of those before `data`."""
        lanes = len(data) // LANE_BYTES
        if lanes < _FEWEST_LANES:
            return self._bytewise(data, value)
        lanes = 1 << (lanes.bit_length() - 1)
        cut = lanes * LANE_BYTES
        value = self.joined(value, self._side_by_side(data[:cut], lanes), cut)
        return self.update(data[cut:], value)

    def joined(self, first: int, second: int, second_bytes: int) -> int:
        """The check of two pieces, one after the other, from the checks of each."""
        return self._multiply(first, self._power(8 * second_bytes)) ^ second

    def _bytewise(self, data: bytes, value: int) -> int:
        register, table = value ^ self.ones, self.table
        for byte in data:
            register = table[(register ^ byte) & 0xFF] ^ (register >> 8)
        return register ^ self.ones

    def _side_by_side(self, data: bytes, lanes: int) -> int:
        import numpy as np  # noqa: PLC0415

        first, second, third, fourth = self.wide_tables
        columns = np.ascontiguousarray(np.frombuffer(data, "<u8").reshape(lanes, -1).T)
        register = np.full(lanes, self.ones, dtype="<u8")
        for column in columns:
            pairs = (register ^ column).view("<u2").reshape(lanes, 4)
            register = (
                first.take(pairs[:, 0])
                ^ second.take(pairs[:, 1])
                ^ third.take(pairs[:, 2])
                ^ fourth.take(pairs[:, 3])
            )
        register ^= np.uint64(self.ones)
        length = len(data) // lanes
        while len(register) > 1:
            register = self._multiply_all(register[::2], self._power(8 * length)) ^ register[1::2]
            length *= 2
        return int(register[0])

    def _multiply_all(self, many: Words, factor: int) -> Words:
        import numpy as np  # noqa: PLC0415

        one, polynomial = np.uint64(1), np.uint64(self.reflected)
        product, many = np.zeros_like(many), many.copy()
        for bit in reversed(range(self.width)):
            if factor >> bit & 1:
                product ^= many
            many = (many >> one) ^ (polynomial * (many & one))
        return product

    def _multiply(self, first: int, second: int) -> int:
        """The product modulo the polynomial; the highest bit stands for x to the power of 0."""
        product, bit = 0, 1 << (self.width - 1)
        while second:
            if second & bit:
                product ^= first
                second ^= bit
            bit >>= 1
            first = (first >> 1) ^ (self.reflected if first & 1 else 0)
        return product

    @cache  # noqa: B019  # two polynomials, which live as long as the program
    def _power(self, exponent: int) -> int:
        """X to the power of `exponent` modulo the polynomial."""
        power, square = 1 << (self.width - 1), 1 << (self.width - 2)
        while exponent:
            if exponent & 1:
                power = self._multiply(power, square)
            square = self._multiply(square, square)
            exponent >>= 1
        return power


CRC32: Final = Polynomial(32, 0xEDB88320)
CRC32C: Final = Polynomial(32, 0x82F63B78)
CRC64NVME: Final = Polynomial(64, 0x9A6C9329AC4BC9B5)
