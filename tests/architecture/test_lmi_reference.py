"""What docs/reference/lmi says is shown by tests that exist, and nothing that is served is left out."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from aiohttp import web
from tests.architecture.reference import REFERENCE, Row, assert_shown, rows, unsaid

from nearstream.replica.calls import Calls
from nearstream.replica.lmi.app import Front, build_app
from nearstream.replica.lmi.registry import Registry
from nearstream.replica.operation import Operation
from nearstream.telemetry.djl import DjlMetrics
from nearstream.wire.dialects.lmi.bodies import LmiBody, LmiParameters
from nearstream.wire.dialects.lmi.terms import lmi_release

FOLDER = REFERENCE / "lmi"
PAGES = tuple(FOLDER / f"{name}.md" for name in ("configuration", "wire", "handlers", "server"))
STATUSES = ("same", "better", "refused with", "accepted, logged", "not there")


@pytest.mark.parametrize("row", rows(*PAGES), ids=lambda row: row[0][:60])
def test_each_row_names_a_status_and_tests_that_exist(row: Row):
    assert_shown(row, STATUSES)


def test_the_index_names_every_page():
    index = (REFERENCE / "lmi.md").read_text()
    assert sorted(FOLDER.glob("*.md")) == sorted(PAGES)
    assert [page.name for page in PAGES if f"(lmi/{page.name})" not in index] == []


def test_every_route_has_a_row():
    every = {(route.method, route.resource.canonical) for route in application().router.routes()}
    said = (f"{method} {path}" for method, path in sorted(every) if method != "HEAD")
    assert unsaid(said, [FOLDER / "server.md"]) == []


def test_every_metric_has_a_row():
    assert unsaid((metric.name for metric in DjlMetrics().all()), [FOLDER / "server.md"]) == []


def test_every_key_of_a_body_has_a_row():
    keys = (*LmiBody.__struct_fields__, *LmiParameters.__struct_fields__)
    assert unsaid((key for key in keys if key != "parameters"), [FOLDER / "wire.md"]) == []


def application() -> web.Application:
    """That of the latest release, which has every route."""
    metrics = DjlMetrics()
    calls = Calls(metrics, time.perf_counter, lambda: "id")
    opener: Any = asyncio.timeout  # nothing is loaded here
    registry = Registry(opener, time.time)
    return build_app(registry, Operation(calls), metrics, Front(lmi_release(""), 1000))
