"""A tiny replica: answers /ping on a Unix socket; words after the path change how it behaves.

slow: never ready.  deaf: ignores SIGTERM.  mute: takes a ping and never answers.  fails: ends at once with
code 3, unfit: with code 6.  parent: has a child that outlives it, whose pid it prints.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from aiohttp import web


async def ping(request: web.Request) -> web.Response:
    words = request.app["words"]
    if "mute" in words:
        await asyncio.Event().wait()
    return web.Response(status=503 if "slow" in words else 200)


async def main(socket: str, words: list[str]) -> None:
    stop = asyncio.Event()
    handler = (lambda: print("deaf", flush=True)) if "deaf" in words else stop.set
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, handler)
    app = web.Application()
    app["words"] = words
    app.router.add_get("/ping", ping)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    if "parent" in words:
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", "import signal; signal.pause()")
        print(f"child {child.pid}", flush=True)
    await web.UnixSite(runner, socket).start()
    print("serving", flush=True)
    await stop.wait()
    await runner.cleanup()
    print("drained", flush=True)


if __name__ == "__main__":
    print(f"WORD={os.environ.get('WORD')}", flush=True)  # what it was given is the point
    if "fails" in sys.argv:
        print("RuntimeError: no such model", file=sys.stderr)
        raise SystemExit(3)
    if "unfit" in sys.argv:
        raise SystemExit(6)
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
