"""DJL Serving's management of models: register, list, describe, scale, unregister."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from nearstream.core.errors import Invalid, Missing
from nearstream.replica.access import ManagementAccess
from nearstream.replica.lmi.pages import managed, number, shown
from nearstream.replica.lmi.registry import Registered, Registry, Status
from nearstream.replica.lmi.served import Source, WorkerGroup

PAGE_MODELS = 100
# What a registration may say of a model, by the names that servers have for it.
_SETTINGS = {
    "engine": "engine",
    "job_queue_size": "job_queue_size",
    "batch_size": "batch_size",
    "max_batch_delay": "max_batch_delay",
    "max_idle_time": "max_idle_time",
    "min_worker": "min_workers",
    "max_worker": "max_workers",
}
_ARCHIVES = (".tar.gz", ".tgz", ".tar", ".zip")


class Management:
    """The routes under /models. Parameters come in the query, as with DJL Serving."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def add_routes(self, router: web.UrlDispatcher, access: ManagementAccess) -> None:
        reading, changing = access.reading, access.changing
        router.add_get("/models", reading(managed(self.page)))
        router.add_post("/models", changing(managed(self.register)))
        for path in ("/models/{model}", "/models/{model}/{version}"):
            router.add_get(path, reading(managed(self.describe)))
            router.add_put(path, changing(managed(self.scale)))
            router.add_delete(path, changing(managed(self.unregister)))

    async def page(self, request: web.Request) -> web.Response:
        """By `limit` and `next_page_token`."""
        models = self._registry.all()
        first, most = number(request, "next_page_token", 0), number(request, "limit", PAGE_MODELS)
        part = models[first : first + most]
        answer: dict[str, Any] = {}
        if first + most < len(models):
            answer["nextPageToken"] = str(first + most)
        return shown({**answer, "models": [_item(model) for model in part]})

    async def register(self, request: web.Request) -> web.Response:
        """`synchronous=false` answers 202 at once; a model that fails to load then stays, as FAILED."""
        source = _source(request.query)
        model = self._registry.register(source)
        if request.query.get("synchronous", "true").lower() == "false":
            return shown({"status": f'Model "{source.name}" registration scheduled.'}, status=202)
        try:
            await model.settled()
        except BaseException:
            with suppress(Missing):  # another call unregistered it meanwhile
                self._registry.unregister(source.name, source.version)
            raise
        return shown({"status": f'Model "{source.name}" registered.'})

    async def describe(self, request: web.Request) -> web.Response:
        name, version = _named(request)
        return shown([await _described(model) for model in self._registry.versions(name, version)])

    async def scale(self, request: web.Request) -> web.Response:
        name, version = _named(request)
        for model in self._registry.versions(name, version):
            with model.using() as served:
                worker_group = served.worker_group()
                least = number(request, "min_worker", worker_group.min_workers)
                most = max(least, number(request, "max_worker", max(least, worker_group.max_workers)))
                await served.scale(least, most)
        limits = f"New Worker configuration min workers:{least} max workers:{most}"
        return shown({"status": f'Workflow "{name}" worker scaled. {limits}'})

    async def unregister(self, request: web.Request) -> web.Response:
        name, version = _named(request)
        self._registry.unregister(name, version)
        return shown({"status": f'Model or workflow "{name}" unregistered'})


def _source(query: Mapping[str, str]) -> Source:
    url = query.get("url")
    if not url:
        raise Invalid("Parameter url is required.")
    settings = {key: query[name] for name, key in _SETTINGS.items() if query.get(name)}
    name = query.get("model_name") or inferred_name(url)
    if not name.isprintable() or "/" in name:
        raise Invalid(f"Parameter model_name must be printable and without a /. Given: {name[:40]!r}")
    return Source(name, url, query.get("model_version") or None, settings)


def inferred_name(url: str) -> str:
    """A model's name if none is given: the last part of its address, without an archive's ending."""
    last = urlsplit(url).path.rstrip("/").rpartition("/")[2]
    ending = next((ending for ending in _ARCHIVES if last.endswith(ending)), "")
    return last.removesuffix(ending) or "model"


def _named(request: web.Request) -> tuple[str, str | None]:
    return request.match_info["model"], request.match_info.get("version")


def _item(model: Registered) -> dict[str, Any]:
    source = model.source
    version = {} if source.version is None else {"version": source.version}
    return {"modelName": source.name, **version, "modelUrl": source.url, "status": str(model.status)}


async def _described(model: Registered) -> dict[str, Any]:
    source = model.source
    about: dict[str, Any] = {"modelName": source.name, "modelUrl": source.url}
    if model.served is None:
        about["status"] = str(model.status)
        if model.error is not None:
            about["error"] = str(model.error)
    else:
        well = await model.served.healthy() if model.status is Status.READY else False
        about |= _worker_group(model.served.worker_group()) | {"status": "Healthy" if well else "Unhealthy"}
    about["loadedAtStartup"] = source.at_startup
    version = {} if source.version is None else {"version": source.version}
    return {"workflowName": source.name, **version, "models": [about]}


def _worker_group(worker_group: WorkerGroup) -> dict[str, Any]:
    workers = [
        {
            "id": worker.id,
            "startTime": _date(worker.started_at),
            "status": "READY" if worker.ready else "UNLOADING",
        }
        for worker in worker_group.workers
    ]
    return {
        "batchSize": worker_group.batch_size,
        "maxBatchDelayMillis": worker_group.max_batch_delay_ms,
        "maxIdleSeconds": worker_group.max_idle_s,
        "queueSize": worker_group.queue_size,
        "requestInQueue": worker_group.waiting,
        "workerGroups": [
            {
                "device": {"deviceType": "cpu", "deviceId": -1},
                "minWorkers": worker_group.min_workers,
                "maxWorkers": worker_group.max_workers,
                "workers": workers,
            }
        ],
    }


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
