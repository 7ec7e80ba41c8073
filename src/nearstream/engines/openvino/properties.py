"""The properties that OpenVINO's CPU plugin is given, chosen by measurement."""

from __future__ import annotations

from nearstream.engines.openvino.settings import OpenVINOSettings


def cpu_properties(settings: OpenVINOSettings) -> dict[str, str]:
    """The defaults, and over them the user's own.

    The plugin chooses bfloat16 where the CPU has it, and pins one thread to each core, which is fastest for
    an engine alone on its machine. One that is given a number of threads shares the machine: pinned, every
    such engine would sit on the same first cores.
    """
    properties = {"PERFORMANCE_HINT": "LATENCY"}
    if settings.threads is not None:
        properties["INFERENCE_NUM_THREADS"] = str(settings.threads)
        properties["ENABLE_CPU_PINNING"] = "NO"
    properties.update(settings.properties)
    return properties
