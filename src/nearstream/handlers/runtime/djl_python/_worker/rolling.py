"""Serves a `handle` that makes batches itself, `option.rolling_batch`: called until every answer is whole.

Each call of it has the requests that are not answered yet, in the order in which it got them, and after them
those that came meanwhile. A request keeps its place until the handler says `last`, also when nobody reads its
answer any more: the handler counts by places. Only new requests have content.
"""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

from ..inputs import BATCH_SIZE, Input
from ..outputs import Output
from .answers import Part, checked, error_of, failed, failure_of, head_of, input_of, parts_of, wholes
from .calls import Batch, Call
from .channel import Channel
from .frames import CALL, CANCEL, CREDIT, Frame, decode_call, decode_credit
from .invoking import Invoker
from .loading import Model, print_failure

BEHIND_MOST = 1024
"""Parts that may wait for one reader; the others of its batch do not wait for it."""
UNREAD_MOST = 10_000
"""Calls of a handler for nothing but requests that nobody reads any more."""
_RESET = "reset_rollingbatch"
_SEED_BITS = 31


class Row:
    """A request's place in the batch."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.known = False
        """The handler has its content."""
        self.ended = False
        """Nothing more is sent for it."""

    def give(self, output: Output, index: int, part: Part) -> None:
        """Send what the handler made for it."""
        call = self.call
        if self.ended or call.cancelled:
            self.end()
        elif part.error is not None:
            self.fail(part.failure())
        elif part.data or part.last:
            if not call.begun:
                call.head(head_of(output, index))
            call.chunk(part.data)
        if part.last:
            self.end()
        elif call.credit < -BEHIND_MOST:
            self.end(f"the reader of this answer is more than {BEHIND_MOST} parts behind")

    def fail(self, failure: Output) -> None:
        """An answer that says so or, where one has begun, its end."""
        if self.ended or self.call.begun:
            self.end(error_of(failure))
            return
        (whole,) = wholes(failure, 1)
        self.call.head(whole.head)
        self.call.chunk(whole.body)
        self.end()

    def end(self, failure: str | None = None) -> None:
        """The last word, said once."""
        if not self.ended:
            self.ended = True
            self.call.end(failure)


class Rolling:
    """Takes frames in the channel's thread, calls the handler in its own. `most`: requests in a batch."""

    def __init__(self, model: Model, common: dict[str, Any], channel: Channel, *, most: int) -> None:
        self._model = model
        self._common = common
        self._channel = channel
        self._most = most
        self._invoker = Invoker()
        self._calls: dict[int, Call] = {}
        self._waiting: deque[Call] = deque()
        self._others: deque[Batch] = deque()
        self._rows: list[Row] = []
        self._changed = threading.Condition()
        self._stopped = False
        self._reset = False
        self._unread = 0

    def take(self, frame: Frame) -> None:
        """A frame has come."""
        with self._changed:
            call = self._calls.get(frame.call)
            if frame.kind == CALL:
                self._add(Batch(*decode_call(frame.load), self._channel))
            elif call is not None and frame.kind == CREDIT:
                call.credit += decode_credit(frame.load)
            elif call is not None and frame.kind == CANCEL:
                call.cancelled = True
            self._changed.notify_all()

    def stop(self) -> None:
        """No more frames will come."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def load(self, inputs: Any) -> Any:
        """The first call, with the empty Input."""
        return self._invoker.call(self._model.handle, inputs)

    def serve(self) -> None:
        """Answer calls until `stop`."""
        while self._joined():
            if self._others:
                self._invoker.answer(self._model, self._others.popleft(), self._common)
            elif self._rows:
                self._step(self._rows)
                self._forget()

    def _add(self, batch: Batch) -> None:
        if batch.function:
            self._others.append(batch)
        else:
            self._waiting += batch.calls
            self._calls.update({call.id: call for call in batch.calls})

    def _joined(self) -> bool:
        """Wait for something to do, and let requests join the batch; False when there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._waiting or self._others or self._rows)
            while self._waiting and len(self._rows) < self._most:
                self._rows.append(Row(self._waiting.popleft()))
            return not self._stopped

    def _step(self, rows: Sequence[Row]) -> None:
        """Call the handler once. A failure is everyone's, and the handler is told to begin afresh."""
        try:
            output = checked(self._invoker.call(self._model.handle, self._inputs(rows)))
            parts = parts_of(output, len(rows))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a user's code raises is told
            print_failure(error)
            output, parts = failure_of(error), []
        if failed(output):
            for row in rows:
                row.fail(output)
            self._drop()
            return
        for index, (row, part) in enumerate(zip(rows, parts)):
            row.give(output, index, part)
        self._rows = [row for row, part in zip(rows, parts) if not part.last]
        self._invoker.finalize(output)

    def _inputs(self, rows: Sequence[Row]) -> Input:
        """Always a batch, also of one."""
        inputs = input_of([], self._model.name, self._common)
        inputs.properties[BATCH_SIZE] = str(len(rows))
        if self._reset:
            inputs.properties[_RESET] = "true"
            self._reset = False
        for index, row in enumerate(rows):
            prefix = f"batch_{index:03d}."
            if row.known:
                inputs.content.add(prefix + "data", b"")
                continue
            row.known = True
            row.call.start()
            member = row.call.member
            inputs.properties.update({prefix + key: value for key, value in member.properties.items()})
            for key, value in member.content:
                inputs.content.add(prefix + key, value)
            inputs.content.add(prefix + "seed", str(secrets.randbits(_SEED_BITS)).encode())
        return inputs

    def _forget(self) -> None:
        """What is over; and what goes on for nobody, after a while."""
        with self._changed:
            kept = {row.call.id for row in self._rows} | {call.id for call in self._waiting}
            self._calls = {number: call for number, call in self._calls.items() if number in kept}
        unread = bool(self._rows) and all(row.ended for row in self._rows)
        self._unread = self._unread + 1 if unread else 0
        if self._unread > UNREAD_MOST:
            self._drop()

    def _drop(self) -> None:
        self._rows, self._reset, self._unread = [], True, 0
