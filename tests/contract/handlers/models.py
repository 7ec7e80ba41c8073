"""Folders with a model.py, as a user writes them, and how a test calls them."""

from __future__ import annotations

import json
import os
import textwrap
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearstream.core.handlers import HandlerHead, HandlerInput
from nearstream.handlers.settings import HandlerSettings
from nearstream.handlers.workers import HandlerWorkers

IMPORTS = "import asyncio, json, os, sys, time\nfrom djl_python import Input, Output\n\n"
WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call came to."""

    head: HandlerHead
    chunks: tuple[bytes, ...]

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Models:
    """Writes models below a folder."""

    path: Path

    def folder(self, source: str, name: str = "model.py") -> Path:
        directory = self.path / "model"
        directory.mkdir(exist_ok=True)
        (directory / name).write_text(IMPORTS + textwrap.dedent(source))
        return directory

    def settings(self, source: str, **changes: Any) -> HandlerSettings:
        quick = {"loading_timeout_s": 20.0, "predict_timeout_s": 20.0, "restart_delay_s": 0.01}
        return HandlerSettings(
            model="mine",
            directory=self.folder(source),
            cache=self.path / "cache",
            environment={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            **{**quick, **changes},
        )

    def open(self, source: str, **changes: Any) -> AbstractAsyncContextManager[HandlerWorkers]:
        return HandlerWorkers.open(self.settings(source, **changes))


def asked(body: Any = None, **properties: str) -> HandlerInput:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HandlerInput((("data", data),), properties)


async def call(workers: HandlerWorkers, body: Any = None, **properties: str) -> Answer:
    async with aclosing(workers.invoke(asked(body, **properties))) as parts:
        head = await anext(parts)
        assert isinstance(head, HandlerHead)
        chunks = [part async for part in parts]
    assert all(isinstance(chunk, bytes) for chunk in chunks)
    return Answer(head, tuple(chunk for chunk in chunks if isinstance(chunk, bytes)))
