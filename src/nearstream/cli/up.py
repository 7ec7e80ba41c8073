"""`nearstream up`: the whole site in the foreground, with a first answer when it is ready."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import aiohttp
import uvloop
from cyclopts import Parameter

from nearstream.cli.connection import PATIENT
from nearstream.cli.invoke import Measured, measure
from nearstream.cli.options import AllowHostOption, ConfigOption, CorsOption, JsonOption, SecureOption
from nearstream.cli.screen import Screen
from nearstream.client import assistant
from nearstream.client.async_client import AsyncClient
from nearstream.client.control_plane import ControlPlane
from nearstream.client.signing import Credentials as ClientCredentials
from nearstream.client.targets import SageMakerEndpoint
from nearstream.client.trust import connector
from nearstream.compose.site import site
from nearstream.config.settings import Settings, load
from nearstream.core.errors import CallFailed
from nearstream.home.keys import Credentials
from nearstream.home.paths import Home
from nearstream.models.resolve import check_local
from nearstream.telemetry import logs

FIRST_PROMPT = "Hello! What is time to first token?"
FIRST_TOKENS = 120
PRIVATE = 0o077


def up(
    *,
    host: Annotated[str | None, Parameter(help="Address to listen on (default: 127.0.0.1).")] = None,
    port: Annotated[int | None, Parameter(help="Port to listen on (default: 8040).")] = None,
    home: Annotated[Path | None, Parameter(help="Home folder (default: ~/.nearstream).")] = None,
    model: Annotated[str | None, Parameter(help="builtin, a directory, a .gguf file or a hub id.")] = None,
    alias: Annotated[
        tuple[str, ...],
        Parameter(negative=(), help="ASKED=RUNS: which model stands in for an id, * for any; repeatable."),
    ] = (),
    s3_url: Annotated[
        str | None, Parameter(help="Another S3 that holds the objects (default: the site's own).")
    ] = None,
    management_port: Annotated[
        int | None, Parameter(help="Port for metrics and health, on 127.0.0.1 (default: none).")
    ] = None,
    cors_allow_origin: CorsOption = (),
    allow_host: AllowHostOption = (),
    secure_mode: SecureOption = False,
    tls: Annotated[
        bool | None, Parameter(negative=(), help="Serve HTTPS, with a certificate of the site's authority.")
    ] = None,
    tls_cert: Annotated[Path | None, Parameter(help="Serve HTTPS with this certificate (PEM).")] = None,
    tls_key: Annotated[Path | None, Parameter(help="The key of --tls-cert, in PEM.")] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Start everything, create the endpoint `assistant`, and serve until Ctrl-C."""
    settings = load(
        {
            "host": host,
            "port": port,
            "home": home,
            "model": model,
            "aliases": alias,
            "s3_url": s3_url,
            "management_port": management_port,
            "tls": tls,
            "tls_cert": tls_cert,
            "tls_key": tls_key,
            "cors_allow_origins": cors_allow_origin,
            "allow_hosts": allow_host,
            "secure_mode": secure_mode or None,
            "config": config,
        }
    )
    check_local(settings.model)
    place = Home(settings.home)
    place.create()
    os.umask(PRIVATE)  # whatever the site and its processes write is its owner's alone
    with place.lock(settings.url):
        logs.to_file(place.path / "frontdoor.log", settings.log_level)
        credentials = place.ensure_credentials(settings.region)
        uvloop.run(_serve(settings, place, credentials, Screen(as_json=json)))


async def _serve(settings: Settings, place: Home, credentials: Credentials, screen: Screen) -> None:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  # a coroutine that runs is in a task
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    async with site(settings, place, credentials):
        # The first signal ends the wait and leaves the site in order; a second one cuts the leaving short.
        with suppress(asyncio.CancelledError):
            screen.starting(settings)
            await _greet(settings, place, credentials, screen)
            await asyncio.Event().wait()
        screen.stopping()


async def _greet(settings: Settings, place: Home, credentials: Credentials, screen: Screen) -> None:
    keys = ClientCredentials(credentials.access_key, credentials.secret_key, credentials.region)
    trusting = connector(settings.url, place.bundle_file)
    async with aiohttp.ClientSession(connector=trusting) as session:
        control = ControlPlane(settings.url, keys, session)
        await assistant.ensure(
            control, model=settings.model, account=credentials.account, region=credentials.region
        )
        await assistant.until_ready(control, screen.progress)
    target = SageMakerEndpoint(assistant.NAME, keys, settings.url, place.bundle_file)
    async with AsyncClient(target, limits=PATIENT) as client:
        await client.warm_up()
        screen.ready(FIRST_PROMPT)
        screen.answered(settings, await _first_answer(client, screen))


async def _first_answer(client: AsyncClient, screen: Screen) -> Measured:
    """As a chat; as plain text from a model that has no chat template."""
    try:
        answer = client.chat(FIRST_PROMPT, max_new_tokens=FIRST_TOKENS)
        return await measure(answer, show=screen.piece)
    except CallFailed as error:
        if "emplate" not in error.message:
            raise
        answer = client.stream(FIRST_PROMPT, max_new_tokens=FIRST_TOKENS)
        return await measure(answer, show=screen.piece)
