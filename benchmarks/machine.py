"""What a result was measured on: machine, Python and the versions that matter."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

QUIET_PERCENT = 10
PACKAGES = ("nearstream", "openvino-genai", "aiohttp", "uvloop", "msgspec", "tokenizers")


def describe() -> dict[str, str]:
    """One line a fact."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = next((line for line in lines if line.startswith("flags")), "")
    cpu = names[0] if names else platform.processor()
    return {
        "cpu": f"{os.cpu_count()} cores, {cpu}{', AMX' if 'amx_bf16' in flags else ''}",
        "memory_gib": str(round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def wait_until_quiet(*, at_most_s: float = 60) -> None:
    """Wait until nothing keeps the cores busy; after `at_most_s` say that something does."""
    for _ in range(int(at_most_s / 2)):
        busy = psutil.cpu_percent(2)
        if busy < QUIET_PERCENT:
            return
    print(f"this machine does other work as well: its cores are {busy:.0f} % busy", flush=True)


@dataclass(frozen=True, slots=True)
class Load:
    """CPU seconds that the machine and that the measurement have used by now."""

    at_s: float
    all_s: float
    own_s: float

    @classmethod
    def now(cls, pid: int) -> Load:
        """`pid` and what it started, and this process, are the measurement."""
        times, server = psutil.cpu_times(), psutil.Process(pid)
        own = [each.cpu_times() for each in (psutil.Process(), server, *server.children(recursive=True))]
        return cls(
            time.monotonic(),
            sum(times) - times.idle - getattr(times, "iowait", 0.0),
            sum(each.user + each.system for each in own),
        )

    def others_percent(self, later: Load) -> float:
        """How much of the cores other work had meanwhile."""
        others_s = (later.all_s - self.all_s) - (later.own_s - self.own_s)
        return max(100 * others_s / (later.at_s - self.at_s) / (os.cpu_count() or 1), 0.0)
