"""The endless seeded stream of training documents, and the slice that is kept away from training."""

from collections.abc import Iterator
from random import Random
from zlib import crc32

from training.corpus.rendering import Piece, document

HELD_OUT_SHARE = 50
SHORT = 60


def held_out(pieces: list[Piece]) -> bool:
    """One prompt in fifty is never trained on; very short ones are, since everybody types them."""
    prompt = "".join(piece.text for piece in pieces if not piece.learned)
    return len(prompt) > SHORT and crc32(prompt.lower().encode()) % HELD_OUT_SHARE == 0


def training_documents(seed: int) -> Iterator[list[Piece]]:
    rng = Random(seed)
    while True:
        pieces = document(rng)
        if not held_out(pieces):
            yield pieces


def held_out_documents(seed: int, count: int) -> Iterator[list[Piece]]:
    rng = Random(seed)
    while count:
        pieces = document(rng)
        if held_out(pieces):
            count -= 1
            yield pieces
