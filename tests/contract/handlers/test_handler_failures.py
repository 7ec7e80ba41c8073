"""What goes wrong in a user's code: the caller and the log are told, and the server serves on."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.contract.handlers.models import WAIT_S, Models, asked, call
from tests.support.waiting import until

from nearstream.core.errors import HandlerFailed, Invalid, NotReady, Overloaded, Unusable
from nearstream.handlers.slot import Slot

ROOT = Path(__file__).parents[3]
Log = list[dict[str, Any]]

SERVES = """
    def handle(inputs):
        if inputs.is_empty():
            return None
        wish = inputs.get_as_json()
        if wish == "raise":
            raise ValueError("no such word")
        if wish == "exit":
            os._exit(7)
        if wish == "sys.exit":
            sys.exit(2)
        if wish == "sleep":
            time.sleep(60)
        if wish == "memory":
            raise MemoryError("no room for the picture")
        if wish == "print":
            print("x" * 1_000_000)
            os.write(1, b"binary \\xff\\x00\\x1b[31m, no newline")
        return Output().add({"said": wish, "pid": os.getpid()})
"""


def lines(log: Log) -> list[str]:
    return [str(line["line"]) for line in log if line["event"] == "handler output"]


def group_of(pid: int) -> list[psutil.Process]:
    """What still runs of the group that a worker led."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == pid and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


async def test_a_handler_that_raises_answers_424_and_its_traceback_is_in_the_log(models: Models, log: Log):
    async with models.open(SERVES) as workers:
        answer = await call(workers, "raise")
        assert (await call(workers, "on")).json()["said"] == "on"
    assert answer.head.code == 424
    assert answer.json() == {"code": 424, "message": "invoke handler failure", "error": "no such word"}
    said = [line for line in log if line["event"] == "handler output"]
    assert "ValueError: no such word" in lines(log) and any("model.py" in line for line in lines(log))
    assert {line["model"] for line in said} == {"mine"} and all(line["pid"] > 1 for line in said)


async def test_memory_that_runs_out_answers_507(models: Models):
    async with models.open(SERVES) as workers:
        answer = await call(workers, "memory")
    assert (answer.head.code, answer.head.message) == (507, "no room for the picture")


async def test_exiting_ends_the_call_and_not_the_worker(models: Models):
    async with models.open(SERVES) as workers:
        before = (await call(workers, "on")).json()["pid"]
        assert (await call(workers, "sys.exit")).head.code == 424
        assert (await call(workers, "on")).json()["pid"] == before


async def test_a_worker_that_ends_fails_its_call_and_those_in_line_are_served(models: Models, log: Log):
    async with models.open(SERVES) as workers:
        calls = [asyncio.ensure_future(call(workers, wish)) for wish in ("exit", "a", "b")]
        done = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(done[0], HandlerFailed) and "status 7" in str(done[0])
    assert [answer.json()["said"] for answer in done[1:] if not isinstance(answer, BaseException)] == [
        "a",
        "b",
    ]
    assert "it ended with status 7" in [line.get("reason") for line in log]


async def test_a_worker_killed_amid_a_stream_ends_it_with_an_error(models: Models):
    source = """
        def items():
            yield [str(os.getpid())]
            os.abort()
        def handle(inputs):
            return None if inputs.is_empty() else Output().add_stream_content(items())
    """
    async with models.open(source) as workers:
        parts = workers.invoke(asked())
        await anext(parts)
        await anext(parts)
        with pytest.raises(HandlerFailed, match="SIGABRT"):
            await anext(parts)


async def test_a_call_that_takes_too_long_is_ended_with_all_its_worker_started(models: Models, log: Log):
    source = SERVES.replace("time.sleep(60)", "import subprocess; subprocess.run(['sleep', '60'])")
    async with models.open(source, predict_timeout_s=0.3) as workers, asyncio.timeout(WAIT_S):
        before = (await call(workers, "on")).json()["pid"]
        with pytest.raises(HandlerFailed, match=r"predict timeout: the handler did not answer within 0\.3 s"):
            await call(workers, "sleep")
        assert (await call(workers, "on")).json()["pid"] != before
        await until(lambda: not group_of(before))
    assert "handler timed out" in [line["event"] for line in log]


async def test_an_async_call_that_takes_too_long_ends_alone(models: Models):
    source = """
        cancelled = asyncio.Event()
        async def items():
            yield "before"
            await cancelled.wait()
            yield "after"
        async def handle(inputs):
            if inputs.is_empty():
                return None
            if inputs.get_as_json() == "stream":
                return Output().add_stream_content(items(), output_formatter=None)
            try:
                await asyncio.sleep(60)
            finally:
                cancelled.set()
    """
    async with models.open(source, predict_timeout_s=0.5) as workers, asyncio.timeout(WAIT_S):
        beside = workers.invoke(asked("stream"))
        said = [await anext(beside), await anext(beside)]
        with pytest.raises(HandlerFailed, match="predict timeout"):
            await call(workers, "sleep")
        assert [*said[1:], *[part async for part in beside]] == [b"before", b"after"]


async def test_a_call_whose_reader_leaves_at_once_keeps_no_place(models: Models):
    source = """
        async def handle(inputs):
            if not inputs.is_empty():
                await asyncio.sleep(60)
    """
    async with models.open(source, concurrent_calls=1) as workers, asyncio.timeout(WAIT_S):
        for _ in range(20):
            leaving = asyncio.ensure_future(call(workers))
            await until(lambda: not workers.running[0].room)
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
        await until(lambda: workers.running[0].room == 1)


async def test_an_async_worker_that_ends_fails_all_that_it_had_begun(models: Models):
    source = """
        async def handle(inputs):
            if inputs.is_empty():
                return None
            if inputs.get_as_json() == "exit":
                os._exit(3)
            await asyncio.sleep(60)
    """
    async with models.open(source) as workers, asyncio.timeout(WAIT_S):
        begun = [asyncio.ensure_future(call(workers, "wait")) for _ in range(3)]
        await until(
            lambda: [one.started for one in workers.running[0]._process._calls.values()] == [True] * 3
        )
        done = await asyncio.gather(*begun, call(workers, "exit"), return_exceptions=True)
    assert all(isinstance(one, HandlerFailed) and "status 3" in str(one) for one in done)


async def test_a_worker_that_dies_between_calls_is_replaced(models: Models):
    async with models.open(SERVES, retry_threshold=1) as workers, asyncio.timeout(WAIT_S):
        for health in (True, False):
            pid = workers.running[0].pid
            os.kill(pid, signal.SIGKILL)
            assert (await call(workers, "on")).json()["pid"] != pid
            assert await workers.healthy() is health


async def test_an_async_call_that_will_not_stop_takes_its_worker_with_it(models: Models):
    source = """
        async def handle(inputs):
            if not inputs.is_empty() and inputs.get_as_json() == "stuck":
                while True:
                    pass
            return Output().add("free")
    """
    async with models.open(source, predict_timeout_s=0.2) as workers, asyncio.timeout(WAIT_S):
        with pytest.raises(HandlerFailed, match="predict timeout"):
            await call(workers, "stuck")
        assert (await call(workers, "on")).body == b"free"


async def test_a_megabyte_and_junk_on_stdout_reach_the_log_and_the_server_goes_on(models: Models, log: Log):
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.001)
            longest = max(longest, time.monotonic() - began)

    async with models.open(SERVES) as workers:
        watching = asyncio.ensure_future(watch())
        assert (await call(workers, "print")).json()["said"] == "print"
        watching.cancel()
    assert sum(line.count("x") for line in lines(log) if line.startswith("xx")) == 1_000_000
    assert max(map(len, lines(log))) <= 8192
    assert "binary \ufffd\\x00\\x1b[31m, no newline" in lines(log)
    assert longest < 1.0


async def test_a_handler_that_prints_without_end_is_slowed_and_nobody_else(models: Models, log: Log):
    source = """
        import threading
        def chatter():
            while True:
                print("line")
        def handle(inputs):
            if inputs.is_empty():
                threading.Thread(target=chatter, daemon=True).start()
                return None
            return Output().add("quiet")
    """
    async with models.open(source) as workers, asyncio.timeout(WAIT_S):
        assert (await call(workers)).body == b"quiet"
    assert len(lines(log)) > 10


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def handel(inputs):\n    pass", "no function `handle`; its functions are: handel"),
        (
            "from djl_python.input_parser import input_formatter\n\n@input_formatter\ndef mine(data): ...",
            r"DJL's own handlers \(mine\) is not called here",
        ),
        ("def handle(inputs:\n    pass", r"SyntaxError: .* \(model\.py, line 4\)"),
        ("import no_such_package", r"No module named 'no_such_package' \(model\.py, line 4\)"),
        ("from djl_python.huggingface import X", "part of DJL's own handlers"),
        ("def handle(inputs):\n    return {}[1]", r"first call, .* KeyError: 1 \(model\.py, line 5\)"),
        ("def handle(inputs):\n    return Output().error('no weights')", "no weights"),
        ("async def handle(inputs):\n    raise OSError('disk')", r"OSError: disk \(model\.py, line 5\)"),
        ("import os\nos._exit(9)", "ended with status 9"),
        ("sys.exit('stop')", "SystemExit: stop"),
    ],
)
async def test_a_model_that_cannot_be_loaded_says_why(models: Models, log: Log, source: str, reason: str):
    with pytest.raises(Unusable, match=reason):
        async with models.open(source):
            pass


async def test_a_syntax_error_is_in_the_log_with_its_file_and_line(models: Models, log: Log):
    with pytest.raises(Unusable):
        async with models.open("def handle(inputs:\n    pass"):
            pass
    assert any("model.py" in line and "line 4" in line for line in lines(log))


async def test_an_entry_point_that_is_not_there_or_is_djls_own_is_refused(models: Models):
    with pytest.raises(Unusable, match=r"there is no other\.py"):
        async with models.open(SERVES, entry_point="other.py"):
            pass
    with pytest.raises(Unusable, match=r"djl_python\.huggingface is the built-in handler"):
        async with models.open(SERVES, entry_point="djl_python.huggingface"):
            pass


async def test_an_endless_loop_while_loading_is_ended(models: Models):
    with pytest.raises(Unusable, match=r"did not load within 0\.4 s"):
        async with models.open("while True:\n    pass", loading_timeout_s=0.4):
            pass


async def test_a_worker_that_cannot_be_started_again_leaves_the_model_unready(models: Models, log: Log):
    async with models.open(SERVES) as workers, asyncio.timeout(WAIT_S):
        models.folder("raise ValueError('changed')")
        with pytest.raises(HandlerFailed):
            await call(workers, "exit")
        with pytest.raises(NotReady, match="changed"):
            await call(workers, "on")
        assert not await workers.healthy()
        models.folder(SERVES)
        await until(lambda: any(slot.ready for slot in workers.running))
        assert (await call(workers, "on")).json()["said"] == "on"


async def test_a_full_line_is_overloaded(models: Models):
    async with models.open(SERVES, job_queue_size=1) as workers:
        running = [asyncio.ensure_future(call(workers, "sleep")) for _ in range(2)]
        async with asyncio.timeout(WAIT_S):
            await until(lambda: workers.waiting == 1 and not workers.running[0].room)
        with pytest.raises(Overloaded, match="Worker queue capacity exceeded for model: mine"):
            await call(workers, "on")
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        assert workers.waiting == 0
        workers.running[0]._process.kill("the test is over")


async def test_a_plain_call_whose_reader_left_is_finished_and_forgotten(models: Models):
    source = """
        def handle(inputs):
            if inputs.is_empty():
                return None
            go, path = inputs.get_as_json()
            while not os.path.exists(go):
                time.sleep(0.005)
            open(path, "w").close()
            return Output().add("x" * 100_000)
    """
    go, done = models.path / "go", models.path / "done"
    async with models.open(source) as workers, asyncio.timeout(WAIT_S):
        leaving = asyncio.ensure_future(call(workers, [str(go), str(done)]))
        await until(lambda: not workers.running[0].room)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        assert workers.running[0].room == 0
        go.touch()
        assert len((await call(workers, [str(go), str(done)])).body) == 100_000
        assert done.exists()


def begun(slot: Slot) -> bool:
    """The user's code has a call; one that it does not have yet may go to another process."""
    return any(one.started for one in slot._process._calls.values())


async def test_an_async_call_whose_reader_left_is_cancelled(models: Models):
    source = """
        async def handle(inputs):
            if inputs.is_empty():
                return None
            try:
                await asyncio.sleep(60)
            finally:
                open(inputs.get_as_json(), "w").close()
    """
    path = models.path / "cancelled"
    async with models.open(source) as workers, asyncio.timeout(WAIT_S):
        leaving = asyncio.ensure_future(call(workers, str(path)))
        await until(lambda: begun(workers.running[0]))
        leaving.cancel()
        await until(path.exists)
        await until(lambda: not workers.running[0]._process.busy)


async def test_closing_ends_the_process_and_what_waits(models: Models):
    async with models.open(SERVES) as workers, asyncio.timeout(WAIT_S):
        pid = workers.running[0].pid
        calls = [asyncio.ensure_future(call(workers, "sleep")) for _ in range(2)]
        await until(lambda: workers.waiting == 1)
    done = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(one, HandlerFailed) for one in done)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(NotReady, match="being unloaded"):
        await call(workers, "on")


async def test_the_socket_closing_ends_a_worker_that_is_busy(models: Models):
    """As when the server is killed."""
    async with models.open(SERVES) as workers, asyncio.timeout(WAIT_S):
        slot = workers.running[0]
        pid = slot.pid
        busy = asyncio.ensure_future(call(workers, "sleep"))
        await until(lambda: begun(slot))
        slot._process._process._transport.close()
        with pytest.raises(HandlerFailed, match="ended"):
            await busy
        assert slot.pid != pid or not slot.ready


SERVER = """
import asyncio, sys
from pathlib import Path
from tests.contract.handlers.models import Models

SOURCE = '''
import threading
def spin():
    while True:
        pass
def handle(inputs):
    threading.Thread(target=spin, daemon=True).start()
'''
async def main():
    async with Models(Path(sys.argv[1])).open(SOURCE) as workers:
        print("pid", workers.running[0].pid, flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_a_server_that_is_killed_leaves_no_worker_behind(models: Models):
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, str(models.path), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    async with asyncio.timeout(WAIT_S):
        async for line in server.stdout:
            if line.startswith(b"pid"):
                break
    pid = int(line.split()[1])
    assert group_of(pid)
    server.kill()
    await server.wait()
    await until(lambda: not group_of(pid))


async def test_two_workers_work_at_the_same_time_and_more_come_when_calls_wait(models: Models):
    source = """
        def handle(inputs):
            if inputs.is_empty():
                return None
            mine, other = inputs.get_as_json()
            open(mine, "w").close()
            while not os.path.exists(other):
                time.sleep(0.005)
            return Output().add(os.getpid())
    """
    a, b = str(models.path / "a"), str(models.path / "b")
    bounds = {"min_workers": 1, "max_workers": 2, "max_idle_time_s": 0.0}
    async with models.open(source, **bounds) as workers, asyncio.timeout(WAIT_S):
        answers = await asyncio.gather(call(workers, [a, b]), call(workers, [b, a]))
        assert answers[0].body != answers[1].body
        await until(lambda: len(workers.running) == 1)
        await workers.scale(2, 3)
        await until(lambda: [slot.ready for slot in workers.running] == [True, True])
        assert all(slot.started_at > 1e9 for slot in workers.running)
        await workers.scale(0, 1)
        await until(lambda: not workers.running)
        again = models.path / "again"
        again.touch()
        assert await workers.healthy() and (await call(workers, [str(again), str(again)])).head.code == 200
        with pytest.raises(Invalid, match="min_worker is 3 and max_worker 2"):
            await workers.scale(3, 2)


async def test_closing_the_generator_before_it_begins_does_no_harm(models: Models):
    async with models.open(SERVES) as workers:
        async with aclosing(workers.invoke(asked("on"))):
            pass
        assert (await call(workers, "on")).json()["said"] == "on"
