"""`nearstream serve --as lmi` as its users start it, in a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from tests.support.ports import free_port
from tests.support.waiting import until

START_S = 60


@asynccontextmanager
async def serving(
    folder: Path, version: str, log: Path, *options: str, **variables: str
) -> AsyncIterator[aiohttp.ClientSession]:
    """A client, with the management key, of the server once that is ready.

    Every model id runs the built-in model.
    """
    port = free_port()
    environment = {
        **os.environ,
        "NEARSTREAM_ALIASES": "*=builtin",
        "NEARSTREAM_HOME": str(log.parent / "home"),
    }
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "nearstream", "serve", "--as", "lmi", "--model-dir", str(folder),
            "--version", version, "--port", str(port), *options,
            stdout=out, stderr=out, env=environment | variables,
        )  # fmt: skip
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
                await until(lambda: _settled(process, session), within_s=START_S)
                assert process.returncode is None, f"it ended; see {log}"
            key = log.parent / "home" / "management.key"
            manager = {"Authorization": f"Bearer {key.read_text().strip()}"} if key.exists() else {}
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=manager) as session:
                yield session
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            await process.wait()


async def _settled(process: asyncio.subprocess.Process, session: aiohttp.ClientSession) -> bool:
    """It is ready, or has ended."""
    if process.returncode is not None:
        return True
    try:
        async with session.get("/ping") as response:
            return response.status == 200
    except aiohttp.ClientConnectionError:
        return False
