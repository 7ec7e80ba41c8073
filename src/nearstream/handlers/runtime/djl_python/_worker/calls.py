"""The calls that a handler's process works on: what each may still send, and that each is ended once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..outputs import Output
from .answers import NO_CONTENT, Head, failure_of, head_of, unpacked, wholes
from .channel import Channel
from .frames import BEGUN, CHUNK, END, FAILED, HEAD, Member
from .loading import print_failure

END_OF_ITEMS: Any = object()


async def next_of(items: Any) -> Any:
    """The next of an async iterator, or END_OF_ITEMS."""
    try:
        return await items.__anext__()
    except StopAsyncIteration:
        return END_OF_ITEMS


class Call:
    """One call and how far its answer is. `credit`: chunks it may send before its reader takes one."""

    def __init__(self, member: Member, credit: int, channel: Channel) -> None:
        self.id = member.call
        self.member = member
        self.credit = credit
        self.cancelled = False
        self.begun = False
        self._channel = channel

    def start(self) -> None:
        """The user's code is about to have it."""
        self._channel.send(BEGUN, self.id)

    def head(self, head: Head) -> None:
        """Begin the answer."""
        self.begun = True
        if not self.cancelled:
            self._channel.send_json(HEAD, self.id, head._asdict())

    def chunk(self, data: bytes) -> None:
        """Send a part of the body; nothing is sent for an empty one, or to a reader that has left."""
        if data and not self.cancelled:
            self.credit -= 1
            self._channel.send(CHUNK, self.id, data)

    def end(self, failure: str | None = None) -> None:
        """The last word on this call."""
        if failure is None:
            self._channel.send(END, self.id)
        else:
            self._channel.send_json(FAILED, self.id, {"error": failure})


class Batch:
    """The calls that one Input was made of; mostly one."""

    def __init__(self, members: Sequence[Member], credit: int, channel: Channel) -> None:
        self.calls = [Call(member, credit, channel) for member in members]
        self._failure: str | None = None

    @property
    def function(self) -> str:
        """Which function they are for; "" is the handler."""
        return self.calls[0].member.function

    @property
    def members(self) -> list[Member]:
        """What was asked."""
        return [call.member for call in self.calls]

    @property
    def abandoned(self) -> bool:
        """Whether every reader has left."""
        return all(call.cancelled for call in self.calls)

    @property
    def paused(self) -> bool:
        """Whether a reader has to take something before more may be made."""
        return any(call.credit < 1 and not call.cancelled for call in self.calls)

    def start(self) -> None:
        """The user's code is about to have it."""
        for call in self.calls:
            call.start()

    def answer(self, output: Output) -> None:
        """Send an answer that is there at once."""
        try:
            answers = wholes(unpacked(output) if len(self.calls) == 1 else output, len(self.calls))
        except (TypeError, ValueError) as error:
            print_failure(error)
            answers = wholes(failure_of(error), len(self.calls))
        for call, whole in zip(self.calls, answers):
            call.head(whole.head)
            call.chunk(whole.body)

    def go_on(self, output: Output, chunks: Sequence[bytes] = ()) -> None:
        """Send a stream's next chunks, one for each call, and before the first of them a head."""
        for index, call in enumerate(self.calls):
            if not call.begun:
                call.head(head_of(output, index))
            if chunks:
                call.chunk(chunks[index])

    def fail(self, error: BaseException) -> None:
        """The user's code raised: an answer that says so, or, where one has begun, its end."""
        print_failure(error)
        if any(call.begun for call in self.calls):
            self._failure = str(error) or type(error).__name__
        else:
            self.answer(failure_of(error))

    def break_off(self, failure: str) -> None:
        """End with a failure amid the answer."""
        self._failure = failure

    def end(self, output: Output | None) -> None:
        """End every call, and do what the Output wants done then."""
        for call in self.calls:
            if not call.begun and self._failure is None:
                call.head(Head(NO_CONTENT, "No content", {}))
            call.end(self._failure)
        if output is None:
            return
        try:
            output.execute_finalize()
        except Exception as error:  # noqa: BLE001 - a user's function; the answer is sent already
            print_failure(error)
