"""The properties that OpenVINO's CPU plugin is given, chosen by measurement."""

from __future__ import annotations

from nearstream.engines.openvino.settings import EngineSettings


def cpu_properties(settings: EngineSettings) -> dict[str, str]:
    """The measured defaults, and over them the user's own."""
    properties = {"PERFORMANCE_HINT": "LATENCY"}
    if settings.threads is not None:
        properties["INFERENCE_NUM_THREADS"] = str(settings.threads)
    properties.update(settings.properties)
    return properties
