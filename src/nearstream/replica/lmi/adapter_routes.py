"""DJL Serving's management of a model's LoRA adapters: register, list, describe, update, unregister."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from nearstream.core.errors import Invalid, Missing
from nearstream.replica.access import ManagementAccess
from nearstream.replica.lmi.pages import managed, number, shown
from nearstream.replica.lmi.registry import Registry
from nearstream.replica.lmi.served import ModelAdapters
from nearstream.wire.dialects.adapter_bodies import Adapter

PAGE_ADAPTERS = 100


class AdapterManagement:
    """The routes under /models/{model}/adapters, and /adapters where one model was started with.

    An adapter is loaded when it is registered and stays, so `preload` and `pin` are always true. A handler is
    given them with everything else that the call says.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def add_routes(self, router: web.UrlDispatcher, access: ManagementAccess) -> None:
        reading, changing = access.reading, access.changing
        for path in ("/models/{model}/adapters", "/adapters"):
            router.add_get(path, reading(managed(self.page)))
            router.add_post(path, changing(managed(self.register)))
            router.add_get(path + "/{adapter}", reading(managed(self.describe)))
            router.add_delete(path + "/{adapter}", changing(managed(self.unregister)))
            router.add_post(path + "/{adapter}/update", changing(managed(self.update)))

    async def page(self, request: web.Request) -> web.Response:
        """By `limit` and `next_page_token`."""
        with self._adapters(request) as adapters:
            known = adapters.all
        first, most = number(request, "next_page_token", 0), number(request, "limit", PAGE_ADAPTERS)
        token = {"nextPageToken": str(first + most)} if first + most < len(known) else {}
        return shown({**token, "adapters": [_described(adapter) for adapter in known[first : first + most]]})

    async def register(self, request: web.Request) -> web.Response:
        name, source = _required(request, "name"), _required(request, "src")
        with self._adapters(request) as adapters:
            await adapters.load(name, source, options=request.query)
        return shown({"status": f"Adapter {name} registered"})

    async def describe(self, request: web.Request) -> web.Response:
        with self._adapters(request) as adapters:
            return shown(_described(_known(adapters, request.match_info["adapter"])))

    async def update(self, request: web.Request) -> web.Response:
        """Reload it, from `src` where that is given."""
        name = request.match_info["adapter"]
        with self._adapters(request) as adapters:
            source = request.query.get("src") or _known(adapters, name).source
            await adapters.update(name, source, options=request.query)
        return shown({"status": f"Adapter {name} updated"})

    async def unregister(self, request: web.Request) -> web.Response:
        name = request.match_info["adapter"]
        with self._adapters(request) as adapters:
            _known(adapters, name)
            await adapters.unload(name)
        return shown({"status": f"Adapter {name} unregistered"})

    @contextmanager
    def _adapters(self, request: web.Request) -> Iterator[ModelAdapters]:
        """Those of the model that the call names. Raises Invalid where it takes none, Missing, NotReady."""
        name = request.match_info.get("model") or self._registry.only()
        if name is None:
            raise Invalid("The adapter must be prefixed with a model unless a single one was started with.")
        with self._registry.versions(name)[0].using() as served:
            if served.adapters is None:
                raise Invalid("LoRA is not enabled: set option.enable_lora=true in serving.properties.")
            yield served.adapters


def _known(adapters: ModelAdapters, name: str) -> Adapter:
    for adapter in adapters.all:
        if adapter.name == name:
            return adapter
    raise Missing(f"The adapter {name} was not found")


def _required(request: web.Request, name: str) -> str:
    given = request.query.get(name)
    if not given:
        raise Invalid(f"Parameter {name} is required.")
    return given


def _described(adapter: Adapter) -> dict[str, str | bool]:
    return {"name": adapter.name, "src": adapter.source, "preload": True, "pin": True}
