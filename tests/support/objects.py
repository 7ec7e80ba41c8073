"""An object store behind the front door's S3 side, on a port of its own, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from aiohttp import web
from botocore.config import Config
from tests.support.ports import free_port

from nearstream.deploy.objectstore.store import ObjectStore
from nearstream.frontdoor.listener import listening
from nearstream.frontdoor.objects.dispatch import Elsewhere, Objects
from nearstream.home.keys import Credentials
from nearstream.wire.aws.credentials import Credential
from nearstream.wire.aws.signed_request import RawRequest

KEYS = Credentials("123456789012", "us-east-1", "AKIATESTTESTTEST2345", "a-secret_that/is+long")


@dataclass(frozen=True)
class Place:
    port: int
    store: ObjectStore
    keys: Credentials = KEYS

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(
        self, url: str = "", *, secret: str = KEYS.secret_key, key: str = KEYS.access_key, **options: Any
    ) -> Any:
        """boto3's client with its defaults, but for how often it tries."""
        return boto3.client(
            "s3",
            endpoint_url=url or self.url,
            region_name=options.pop("region_name", KEYS.region),
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(retries={"total_max_attempts": options.pop("attempts", 1)}, **options),
        )


@contextmanager
def object_site(home: Path, *, elsewhere: str | None = None) -> Iterator[Place]:
    """What a site does for S3, and nothing else."""
    place = Place(free_port(), ObjectStore(home / "objects", clock=time.time))
    known = Credential(KEYS.access_key, KEYS.secret_key, KEYS.account)
    objects = Objects(
        Elsewhere(elsewhere) if elsewhere else place.store,
        lookup={KEYS.access_key: known}.get,
        clock=time.time,
    )

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        call = RawRequest(request.method, path, query, tuple(request.headers.items()), None)
        return await objects.handle(request, call, str(uuid.uuid4()))

    stop, up = asyncio.Event(), threading.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with place.store, listening(handle, host="127.0.0.1", port=place.port, grace_s=0.1):
            up.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert up.wait(30)
        yield place
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
