"""The LoRA adapters of a model with its own handler, which is told of them: `register_adapter` and its like.

Every worker is told, also one that is started later, before it gets its first call.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from nearstream.core.errors import Conflict, HandlerFailed, Missing, Unusable
from nearstream.core.handlers import HandlerInput
from nearstream.handlers.process import HandlerProcess
from nearstream.wire.dialects.adapter_bodies import Adapter

REGISTER, UPDATE, UNREGISTER = "register_adapter", "update_adapter", "unregister_adapter"
_FAILED = 300
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Registered:
    """An adapter and what else its registration said, which the handler gets as content."""

    adapter: Adapter
    options: Mapping[str, str] = field(default_factory=dict)

    def given(self, function: str) -> HandlerInput:
        adapter = self.adapter
        properties = {"handler": function, "name": adapter.name, "alias": adapter.name, "src": adapter.source}
        content = tuple((name, value.encode()) for name, value in self.options.items())
        return HandlerInput(content, properties, function)


class HandlerAdapters:
    """`configured`: names and folders of those that the model comes with.

    `processes` gives those that are loaded. A handler without the functions does with the adapters in its
    folder what it will, and none can be registered.
    """

    def __init__(
        self,
        model: str,
        configured: Sequence[tuple[str, str]],
        processes: Callable[[], Sequence[HandlerProcess]],
    ) -> None:
        self._model = model
        self._processes = processes
        self._registered = {
            name: _Registered(Adapter(name=name, source=source)) for name, source in configured
        }

    @property
    def all(self) -> list[Adapter]:
        """In the order in which they were registered."""
        return [one.adapter for one in self._registered.values()]

    async def prepare(self, process: HandlerProcess) -> None:
        """Tell a process that has just loaded. Raises Unusable with what its handler says."""
        if REGISTER not in process.functions:
            if self._registered:
                _log.info("adapters left to the handler", model=self._model, adapters=list(self._registered))
            return
        for one in tuple(self._registered.values()):
            await self._tell(process, one, REGISTER)

    async def load(self, name: str, source: str, *, options: Mapping[str, str] | None = None) -> Adapter:
        """Register one. Raises Conflict for a name that is taken, Unusable with what the handler says."""
        if name in self._registered:
            raise Conflict(f"an adapter {name!r} is registered already: unregister it first, or update it")
        one = _Registered(Adapter(name=name, source=source), options or {})
        self._require(REGISTER)
        self._registered[name] = one
        try:
            await self._tell_all(one, REGISTER)
        except BaseException:
            self._registered.pop(name, None)
            raise
        return one.adapter

    async def update(self, name: str, source: str, *, options: Mapping[str, str] | None = None) -> Adapter:
        """Raises Missing, and Unusable with what the handler says; it keeps the adapter as it was then."""
        before = self._known(name)
        one = _Registered(Adapter(name=name, source=source), {**before.options, **(options or {})})
        self._require(UPDATE)
        await self._tell_all(one, UPDATE)
        self._registered[name] = one
        return one.adapter

    async def unload(self, name: str) -> Adapter:
        """Raises Missing, and Unusable with what the handler says."""
        one = self._known(name)
        self._require(UNREGISTER)
        await self._tell_all(one, UNREGISTER)
        self._registered.pop(name, None)
        return one.adapter

    def _known(self, name: str) -> _Registered:
        if name not in self._registered:
            raise Missing(f"there is no adapter {name!r}")
        return self._registered[name]

    def _require(self, function: str) -> None:
        if not all(function in process.functions for process in self._processes()):
            raise Unusable(f"the handler of {self._model} has no function `{function}`")

    async def _tell_all(self, one: _Registered, function: str) -> None:
        """Every process; what the first that cannot says."""
        for process in self._processes():
            await self._tell(process, one, function)

    async def _tell(self, process: HandlerProcess, one: _Registered, function: str) -> None:
        try:
            head, body = await process.ask(one.given(function))
        except HandlerFailed as error:
            raise Unusable(f"the handler of {self._model}: {error}") from error
        if head.code >= _FAILED:
            said = _error_in(body) or head.message
            raise Unusable(f"the handler of {self._model} refuses the adapter {one.adapter.name!r}: {said}")


def _error_in(body: bytes) -> str:
    """What an answer in DJL's words says is wrong, or all of another."""
    try:
        return str(json.loads(body)["error"])
    except (ValueError, TypeError, LookupError):
        return body.decode(errors="replace")
