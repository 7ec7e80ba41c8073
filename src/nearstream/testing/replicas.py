"""Model servers around a scripted engine: TGI's, and the LMI container's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

from nearstream.core.errors import Unusable
from nearstream.core.ports import Clock, Engine
from nearstream.core.replicas import ReplicaSpec
from nearstream.models.builtin import builtin_path
from nearstream.replica.settings import ServerSettings
from nearstream.replica.tgi import server as tgi
from nearstream.wire.dialects.hf.terms import LATEST, Terms, tgi_release

GRACE_S: Final = 1.0
"""How long a stop waits for answers that are under way."""
_CONTEXT_TOKENS: Final = 4096
EngineFactory = Callable[[], Engine]


async def serve_tgi(
    spec: ReplicaSpec,
    socket: Path,
    engine: EngineFactory,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[], None],
) -> None:
    """Serve as TGI's release of `spec` until `stop` is set. Raises Unusable."""
    settings = ServerSettings(
        model_id=spec.requested_model,
        model_directory=builtin_path(),
        terms=Terms(tgi_release(spec.version or LATEST)),
        socket=socket,
        grace_s=GRACE_S,
    )
    await tgi.serve(settings, partial(_opened, engine), stop=stop, on_ready=on_ready)


async def serve_lmi(
    spec: ReplicaSpec,
    socket: Path,
    engine: EngineFactory,
    *,
    clock: Clock,
    stop: asyncio.Event,
    on_ready: Callable[[], None],
) -> None:
    """Serve as the LMI container of `spec` with the variables that it has until `stop` is set."""
    # Most tests have no LMI container, and its server takes a while to import.
    from nearstream.engines.settings import PreparedEngine  # noqa: PLC0415
    from nearstream.engines.table import EngineKind  # noqa: PLC0415
    from nearstream.replica.host import Place  # noqa: PLC0415
    from nearstream.replica.lmi.app import Front  # noqa: PLC0415
    from nearstream.replica.lmi.loader import ModelLoader  # noqa: PLC0415
    from nearstream.replica.lmi.served import Source  # noqa: PLC0415
    from nearstream.replica.lmi.server import LmiServerSettings, Parts, serve  # noqa: PLC0415
    from nearstream.telemetry.djl import DjlMetrics  # noqa: PLC0415
    from nearstream.wire.dialects.lmi.terms import lmi_release  # noqa: PLC0415

    release, metrics, source = lmi_release(spec.version), DjlMetrics(), Source("model", at_startup=True)
    prepared = PreparedEngine(_CONTEXT_TOKENS, partial(_opened, engine))
    loader = ModelLoader(
        release=release,
        environ=dict(spec.environment),
        cache=socket.parent / "cache",
        aliases=(("*", "builtin"),),
        engine=EngineKind(frozenset({"ir"}), lambda _: prepared),
        metrics=metrics,
        clock=clock,
        fetch=_no_data,
        model="builtin",
        model_id=spec.requested_model,
    )
    serving = await loader.settings(source)
    await serve(
        LmiServerSettings(
            Place(socket=socket, grace_s=GRACE_S), Front(release, serving.max_request_bytes), (source,)
        ),
        Parts(partial(loader.open, startup=serving), metrics, clock),
        stop=stop,
        on_ready=on_ready,
    )


@asynccontextmanager
async def _opened(engine: EngineFactory) -> AsyncIterator[Engine]:
    yield engine()


async def _no_data(url: str) -> Path:
    raise Unusable(f"{url} cannot be fetched: a scripted site has no S3")
