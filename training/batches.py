"""Packs tokenized documents into rows and makes them ahead of time in a process of its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from multiprocessing import Process, Queue, parent_process
from pathlib import Path
from queue import Full

import numpy as np
from tokenizers import Tokenizer

from training.corpus.documents import training_documents
from training.corpus.rendering import Piece

PROMPT_WEIGHT = 0.0
ROW_TOKENS = 256
LONG_ROW_TOKENS = 2048
LONG_EVERY = 10
TOGETHER = 256


@dataclass(frozen=True, slots=True)
class Row:
    """Tokens, how much each one counts as a target, and which document it belongs to."""

    tokens: np.ndarray
    weights: np.ndarray
    documents: np.ndarray


def encoded(documents: list[list[Piece]], tokenizer: Tokenizer) -> Iterator[tuple[list[int], list[float]]]:
    pieces = [piece for document in documents for piece in document]
    encodings = iter(tokenizer.encode_batch_fast([piece.text for piece in pieces], add_special_tokens=False))
    for document in documents:
        tokens, weights = [], []
        for piece in document:
            ids = next(encodings).ids
            tokens += ids
            weights += [1.0 if piece.learned else PROMPT_WEIGHT] * len(ids)
        yield tokens, weights


def rows(source: Iterator[list[Piece]], tokenizer: Tokenizer, length: int) -> Iterator[Row]:
    """Rows of one token more than `length`, since each token's target is the next one."""
    open_rows: list[list[tuple[list[int], list[float]]]] = []
    room: list[int] = []
    while documents := list(islice(source, TOGETHER)):
        for tokens, weights in encoded(documents, tokenizer):
            tokens, weights = tokens[: length + 1], weights[: length + 1]
            fits = [n for n, space in enumerate(room) if space >= len(tokens)]
            if fits:
                best = min(fits, key=room.__getitem__)
                open_rows[best].append((tokens, weights))
                room[best] -= len(tokens)
            else:
                open_rows.append([(tokens, weights)])
                room.append(length + 1 - len(tokens))
            if len(open_rows) > 24:
                fullest = min(range(len(room)), key=room.__getitem__)
                room.pop(fullest)
                yield packed(open_rows.pop(fullest), length)
    for row in open_rows:
        yield packed(row, length)


def packed(parts: list[tuple[list[int], list[float]]], length: int) -> Row:
    tokens = np.zeros(length + 1, np.int64)
    weights = np.zeros(length + 1, np.float32)
    documents = np.zeros(length + 1, np.int16)
    at = 0
    for number, (ids, worth) in enumerate(parts, 1):
        tokens[at : at + len(ids)] = ids
        weights[at : at + len(ids)] = worth
        weights[at] = 0
        documents[at : at + len(ids)] = number
        at += len(ids)
    return Row(tokens, weights, documents)


def make_batches(queue: Queue, tokenizer_file: Path, seed: int, batch_tokens: int) -> None:
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    short = rows(training_documents(seed), tokenizer, ROW_TOKENS)
    long = rows(training_documents(seed + 1), tokenizer, LONG_ROW_TOKENS)
    step = 0
    while True:
        step += 1
        source, length = (long, LONG_ROW_TOKENS) if step % LONG_EVERY == 0 else (short, ROW_TOKENS)
        chosen = list(islice(source, batch_tokens // length))
        batch = tuple(
            np.stack([getattr(row, part) for row in chosen]) for part in ("tokens", "weights", "documents")
        )
        while parent_process().is_alive():
            try:
                queue.put(batch, timeout=5)
                break
            except Full:
                continue
        else:
            return


def batches(
    tokenizer_file: Path, seed: int, batch_tokens: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """An endless stream of (tokens, weights, documents), each of them (rows, length + 1)."""
    queue: Queue = Queue(maxsize=8)
    worker = Process(target=make_batches, args=(queue, tokenizer_file, seed, batch_tokens), daemon=True)
    worker.start()
    while True:
        yield queue.get()
