"""The process of a user's handler: sets itself up, loads the model, serves."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import inspect
import resource
import signal
import socket
import sys
from typing import Any

from ..inputs import Input
from ..outputs import Output
from .answers import unpacked, wholes
from .channel import Channel
from .concurrent import Concurrent
from .frames import LOAD, READY, REFUSED, Frame, decode_json
from .loading import Handle, Model, Refused, Wanted, load_model, print_failure, told
from .rolling import Rolling
from .sequential import Sequential

_PR_SET_PDEATHSIG = 1
_REFUSED_STATUS = 3
_NO_ROLLING_BATCH = "disable"
_BATCH_MOST = 32
_PLACES = 999
"""Places in a batch are named by three digits."""
_FAILED = 300


def main() -> None:
    """Serve on the socket whose number is the first argument, until its other end closes."""
    _set_up()
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    try:
        frame = channel.first()
    except EOFError:
        return
    wanted = _wanted(frame)
    frames = Frames()
    channel.listen(frames.take, frames.stop)
    try:
        model = load_model(wanted)
        if _is_async(model.handle, wanted.properties):
            asyncio.run(_serve_async(model, wanted, channel, frames))
        else:
            _serve(model, wanted, channel, frames)
    except Refused as refused:
        channel.send_json(REFUSED, 0, {"message": str(refused)})
        sys.exit(_REFUSED_STATUS)


class Frames:
    """Hands frames to whoever serves; none come before it does."""

    def __init__(self) -> None:
        self.server: Any = None

    def take(self, frame: Frame) -> None:
        """A frame has come."""
        if self.server is not None:
            self.server.take(frame)

    def stop(self) -> None:
        """No more will come."""
        if self.server is not None:
            self.server.stop()


def _serve(model: Model, wanted: Wanted, channel: Channel, frames: Frames) -> None:
    common, most = _common(wanted), _batch_most(wanted.properties)
    server = Rolling(model, common, channel, most=most) if most else Sequential(model, common, channel)
    frames.server = server
    try:
        loaded = server.load(_empty(wanted))
    except (Exception, SystemExit) as error:
        raise _not_loaded(error, wanted) from error
    _check(loaded)
    _ready(channel, model, calls=most or 1)
    server.serve()


async def _serve_async(model: Model, wanted: Wanted, channel: Channel, frames: Frames) -> None:
    server = frames.server = Concurrent(model, _common(wanted), channel)
    try:
        loaded = await server.load(_empty(wanted))
    except (Exception, SystemExit) as error:
        raise _not_loaded(error, wanted) from error
    _check(loaded)
    _ready(channel, model, calls=None)
    await server.serve()


def _ready(channel: Channel, model: Model, *, calls: int | None) -> None:
    """`calls`: how many it takes at once; None for as many as the server gives."""
    channel.send_json(READY, 0, {"calls": calls, "functions": sorted(model.functions)})


def _batch_most(properties: dict[str, Any]) -> int:
    """How many requests the handler has in a batch that it makes itself; 0 where it makes none."""
    if str(properties.get("rolling_batch", _NO_ROLLING_BATCH)).lower() in ("", _NO_ROLLING_BATCH):
        return 0
    given = str(properties.get("max_rolling_batch_size", _BATCH_MOST))
    if not given.isdigit() or not 0 < int(given) <= _PLACES:
        raise Refused(f"option.max_rolling_batch_size is {given!r}; a number from 1 to {_PLACES} is wanted")
    return int(given)


def _set_up() -> None:
    """No core dumps, no outliving the server, and none of the server's own modules."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.modules["nearstream"] = None  # type: ignore[assignment]
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _wanted(frame: Frame) -> Wanted:
    if frame.kind != LOAD:
        raise TypeError("the first frame must be LOAD")
    return Wanted(**decode_json(frame.load))


def _is_async(handle: Handle, properties: dict[str, Any]) -> bool:
    called = handle if inspect.isroutine(handle) else type(handle).__call__
    asked = str(properties.get("async_mode", "")).lower() == "true"
    return asked or inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called)


def _empty(wanted: Wanted) -> Input:
    """The Input of the first call: the model's properties and no content."""
    inputs = Input()
    inputs.function_name = wanted.handler
    inputs.properties.update({**wanted.properties, **_common(wanted)})
    return inputs


def _common(wanted: Wanted) -> dict[str, Any]:
    """Properties that every call has, as DJL's worker adds them."""
    added: dict[str, Any] = {"model_dir": wanted.model_dir, "device_id": -1}
    degree = wanted.properties.get("tensor_parallel_degree")
    return {**added, "tensor_parallel_degree": degree} if degree else added


def _check(loaded: Any | None) -> None:
    """Raises Refused for a first call that was answered with a failure."""
    if isinstance(loaded, Output) and loaded.code >= _FAILED:
        said = wholes(unpacked(loaded), 1)[0].body.decode(errors="replace")
        raise Refused(f"its first call was answered with {loaded.code} {loaded.message} {said}".rstrip())


def _not_loaded(error: BaseException, wanted: Wanted) -> Refused:
    print_failure(error)
    return Refused(f"its first call, which loads it, failed: {told(error, wanted.model_dir)}")
