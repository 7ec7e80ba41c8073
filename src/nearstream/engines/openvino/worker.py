"""The engine's child process: `python -m nearstream.engines.openvino.worker FD`.

Reads requests from the socket between steps, steps the batches, writes what came of it. Ends when the socket
closes, so it never outlives the process that started it.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from nearstream.engines.openvino.adapter_scheduler import AdapterScheduler, Batch
from nearstream.engines.openvino.frames import (
    FromWorker,
    Load,
    ToWorker,
    Unloadable,
    decode_to_worker,
    encode,
)
from nearstream.engines.openvino.prompt_batch import PromptBatch
from nearstream.engines.openvino.recovery import reason_of
from nearstream.workers.frames import FrameReader
from nearstream.workers.inside import Inbox, run_worker


class Steppable(Protocol):
    """What the loop drives: the scheduler, or a fake."""

    @property
    def busy(self) -> bool: ...

    def take(self, frame: ToWorker) -> None: ...

    def step(self) -> Sequence[FromWorker]: ...


def serve(sock: socket.socket, inbox: Inbox[ToWorker], batch: Steppable) -> None:
    """Step while there is work, wait while there is none. Raises EOFError when the socket is closed."""
    while True:
        for frame in inbox.read(wait=not batch.busy):
            batch.take(frame)
        if batch.busy:
            for message in batch.step():
                sock.sendall(encode(message))


def run(sock: socket.socket) -> None:
    """Load what the first message names, report how that went, serve."""
    inbox = Inbox(sock, FrameReader(decode_to_worker))
    first, *early = inbox.read(wait=True)
    if not isinstance(first, Load) or early:
        raise TypeError("the first frame must be Load, alone")
    from nearstream.engines.openvino import pipeline  # noqa: PLC0415 - seconds of import, after the socket works

    try:
        batch, loaded = pipeline.load(first)
    except RuntimeError as error:
        sock.sendall(encode(Unloadable(reason_of(error))))
        return
    sock.sendall(encode(loaded))
    base: Batch = batch
    if first.prefix_caching:
        base = PromptBatch(batch, partial(pipeline.open_prompt_pipeline, first))
    adapted = partial(pipeline.open_adapter_pipeline, first)
    serve(sock, inbox, AdapterScheduler(base, adapted, pipeline.read_adapter, most=first.adapter_pipelines))


if __name__ == "__main__":
    run_worker(run)
