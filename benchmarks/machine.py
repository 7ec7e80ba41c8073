"""What a result was measured on: machine, Python and the versions that matter."""

from __future__ import annotations

import os
import platform
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


def wait_until_quiet(*, at_most_s: float = 60) -> float:
    """Wait until nothing else keeps the cores busy, or say that something does; percent busy at last."""
    busy = 100.0
    for _ in range(int(at_most_s / 2)):
        busy = float(psutil.cpu_percent(2))
        if busy < QUIET_PERCENT:
            return busy
    print(f"this machine does other work as well: its cores are {busy:.0f} % busy", flush=True)
    return busy
