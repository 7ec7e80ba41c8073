"""Serves a plain `handle`: in the main thread, one call after another."""

from __future__ import annotations

import queue
import threading
from typing import Any

from ..outputs import Output
from .answers import checked, chunks_of, input_of
from .calls import END_OF_ITEMS, Batch, Call, next_of
from .channel import Channel
from .frames import CALL, CANCEL, CREDIT, Frame, decode_call, decode_credit
from .invoking import Invoker
from .loading import Model, print_failure


class Sequential:
    """Takes frames in the channel's thread, calls the handler in its own."""

    def __init__(self, model: Model, common: dict[str, Any], channel: Channel) -> None:
        self._model = model
        self._common = common
        self._channel = channel
        self._batches: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._calls: dict[int, Call] = {}
        self._changed = threading.Condition()
        self._invoker = Invoker()

    def take(self, frame: Frame) -> None:
        """A frame has come."""
        with self._changed:
            call = self._calls.get(frame.call)
            if frame.kind == CALL:
                batch = Batch(*decode_call(frame.load), self._channel)
                self._calls.update({one.id: one for one in batch.calls})
                self._batches.put(batch)
            elif call is not None and frame.kind == CREDIT:
                call.credit += decode_credit(frame.load)
            elif call is not None and frame.kind == CANCEL:
                call.cancelled = True
            self._changed.notify_all()

    def stop(self) -> None:
        """No more frames will come."""
        with self._changed:
            for call in self._calls.values():
                call.cancelled = True
            self._changed.notify_all()
        self._batches.put(None)

    def load(self, inputs: Any) -> Any:
        """The first call, with the empty Input."""
        return self._invoker.call(self._model.handle, inputs)

    def serve(self) -> None:
        """Answer calls until `stop`."""
        while True:
            batch = self._batches.get()
            if batch is None:
                return
            output = self._run(batch)
            with self._changed:
                for call in batch.calls:
                    del self._calls[call.id]
            batch.end(output)

    def _run(self, batch: Batch) -> Output | None:
        if batch.abandoned:
            return None
        batch.start()
        try:
            function = self._model.named(batch.function)
            inputs = input_of(batch.members, batch.function or self._model.name, self._common)
            output = checked(self._invoker.call(function, inputs))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a user's code raises is told
            batch.fail(error)
            return None
        if output.stream_content is None:
            batch.answer(output)
        else:
            self._stream(batch, output)
        return output

    def _stream(self, batch: Batch, output: Output) -> None:
        stream = output.stream_content
        try:
            items = stream if hasattr(stream, "__aiter__") else iter(stream)
            while self._may_go_on(batch):
                item = self._next(items)
                if item is END_OF_ITEMS:
                    batch.go_on(output)
                    return
                batch.go_on(output, chunks_of(output, item, len(batch.calls)))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a user's code raises is told
            batch.fail(error)
        finally:
            self._close(stream)

    def _may_go_on(self, batch: Batch) -> bool:
        """Wait until every reader has room for a chunk; False when none is left."""
        with self._changed:
            self._changed.wait_for(lambda: not batch.paused)
            return not batch.abandoned

    def _next(self, items: Any) -> Any:
        if not hasattr(items, "__aiter__"):
            return next(items, END_OF_ITEMS)
        return self._invoker.wait(next_of(items))

    def _close(self, stream: Any) -> None:
        """End a generator that may not have come to its end, so that its `finally` runs now."""
        try:
            if hasattr(stream, "aclose"):
                self._invoker.wait(stream.aclose())
            elif hasattr(stream, "close"):
                stream.close()
        except Exception as error:  # noqa: BLE001 - a user's clean-up; the answer is over
            print_failure(error)
