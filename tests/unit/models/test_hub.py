"""Fetching with the real hub library from a small hub on this machine."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys

import pytest
from aiohttp import web

COMMIT = "c" * 40
FILES = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "model.safetensors": bytes(100),
    "openvino_model.bin": bytes(10),
    "pytorch_model.bin": b"\x80pickle",
    "modeling_evil.py": b"raise SystemExit",
    "onnx/config.json": b"{}",
}
REFUSALS = {
    "org/gated": (403, "GatedRepo"),
    "org/absent": (401, "RepoNotFound"),
    "org/broken": (500, ""),
}
FETCHES = """
import asyncio, json, sys
from nearstream.core.errors import Unusable
from nearstream.models.hub import fetch, parse_hub_id

try:
    snapshot = asyncio.run(fetch(parse_hub_id(sys.argv[1]), progress=lambda line: None))
except Unusable as error:
    print(json.dumps({"error": str(error)}))
else:
    files = [str(p.relative_to(snapshot.path)) for p in snapshot.path.rglob("*") if p.is_file()]
    print(json.dumps({"commit": snapshot.commit, "files": sorted(files)}))
"""


async def about(request: web.Request) -> web.Response:
    repo = f"{request.match_info['org']}/{request.match_info['name']}"
    revision = request.match_info.get("revision", "main")
    if repo in REFUSALS:
        status, code = REFUSALS[repo]
        return web.json_response({"error": code}, status=status, headers={"X-Error-Code": code})
    if revision not in ("main", COMMIT):
        return web.json_response({}, status=404, headers={"X-Error-Code": "RevisionNotFound"})
    siblings = [{"rfilename": name} for name in FILES]
    return web.json_response({"id": repo, "sha": COMMIT, "siblings": siblings})


async def tree(request: web.Request) -> web.Response:
    entries = [
        {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
        for name, data in FILES.items()
    ]
    return web.json_response(entries)


async def content(request: web.Request) -> web.Response:
    data = FILES[request.match_info["path"]]
    headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
    return web.Response(body=data, headers=headers)


@pytest.fixture
async def fetched(tmp_path, aiohttp_hub):
    async def fetch(name: str, **environment: str):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", FETCHES, name),
            env={"HF_ENDPOINT": aiohttp_hub, "HF_HOME": str(tmp_path), **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return json.loads(out.splitlines()[-1])

    return fetch


@pytest.fixture
async def aiohttp_hub():
    app = web.Application()
    app.router.add_get("/api/models/{org}/{name}", about)
    app.router.add_get("/api/models/{org}/{name}/revision/{revision}", about)
    app.router.add_get("/api/models/{org}/{name}/tree/{revision}", tree)
    app.router.add_get("/{org}/{name}/resolve/{revision}/{path:.+}", content)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield "http://{}:{}".format(*runner.addresses[0][:2])
    await runner.cleanup()


async def test_only_what_can_be_read_without_running_code_is_fetched(fetched):
    found = await fetched("org/name")
    assert found["commit"] == COMMIT
    assert found["files"] == ["config.json", "model.safetensors", "openvino_model.bin", "tokenizer.json"]


async def test_what_was_fetched_is_found_offline(fetched):
    online = await fetched("org/name")
    assert await fetched("org/name", HF_HUB_OFFLINE="1") == online


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("org/gated", "is gated: accept its terms"),
        ("org/absent", "is not on the hub, or is private"),
        ("org/name@nowhere", "org/name@nowhere has no such revision"),
        ("org/broken", "could not be fetched: "),
    ],
)
async def test_a_refusal_is_one_clear_sentence(fetched, name, reason):
    said = (await fetched(name))["error"]
    assert reason in said
    assert "\n" not in said


async def test_offline_and_not_in_the_cache_is_said_so(fetched):
    assert "HF_HUB_OFFLINE" in (await fetched("org/name", HF_HUB_OFFLINE="1"))["error"]


async def test_a_hub_that_cannot_be_reached_is_said_so(fetched):
    said = (await fetched("org/name", HF_ENDPOINT="http://127.0.0.1:9"))["error"]
    assert "cannot be reached" in said
