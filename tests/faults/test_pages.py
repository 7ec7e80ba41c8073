"""A page in a browser is a client, too: of another origin it can neither manage nor generate."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from tests.contract.lmi.real import serving as lmi_serving
from tests.contract.replica.scripted import Witness, ids_of, serving, settings
from tests.support.chromium import Page, chromium

from nearstream.replica.access import ManagementAccess
from nearstream.replica.openai import server as openai
from nearstream.replica.tgi import server as tgi
from nearstream.wire.browsers import PageRules

FOREIGN = "attacker.example"
HANDLER = """
import pathlib
from djl_python import Output
pathlib.Path({marker!r}).touch()
def handle(inputs):
    return Output().add_as_json({{}})
"""
# What a page may send without asking: each is tried, and what becomes of it is told.
ATTACKS = """
(async () => {{
  const target = {target}, path = {path}, body = {body};
  const told = {{}};
  const soon = (promise) => Promise.race([promise.then(() => "done"), new Promise(
    (resolve) => setTimeout(() => resolve("late"), 5000))]);
  const settled = async (name, promise) => {{
    try {{ const answer = await promise; told[name] = answer.type === "opaque" ? "opaque" : answer.status; }}
    catch (error) {{ told[name] = String(error); }}
  }};
  await settled("no-cors", fetch(target + path, {{
    method: "POST", mode: "no-cors", headers: {{"Content-Type": "text/plain"}}, body }}));
  await settled("cors", fetch(target + path, {{
    method: "POST", headers: {{"Content-Type": "application/json"}}, body }}));
  await settled("simple", fetch(target + path, {{
    method: "POST", headers: {{"Content-Type": "text/plain"}}, body }}));
  await settled("get", fetch(target + path, {{ mode: "no-cors" }}));
  navigator.sendBeacon(target + path, body);
  const loaded = (element, attribute) => new Promise((done) => {{
    element.onload = () => done("loaded"); element.onerror = () => done("error");
    element[attribute] = target + path; document.body.append(element);
  }});
  told.image = await loaded(document.createElement("img"), "src");
  told.script = await loaded(document.createElement("script"), "src");
  for (const kind of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]) {{
    const frame = document.createElement("iframe"), form = document.createElement("form");
    frame.name = kind; document.body.append(frame);
    form.method = "POST"; form.enctype = kind; form.action = target + path; form.target = kind;
    const field = document.createElement("input");
    field.name = body.slice(0, -1) + ',"x":"'; field.value = '"}}';
    form.append(field); document.body.append(form);
    const done = new Promise((resolve) => {{ frame.onload = resolve; }});
    form.submit(); told[kind] = await soon(done);
    frame.remove(); form.remove();
  }}
  const sandboxed = document.createElement("iframe");
  sandboxed.sandbox = "allow-scripts allow-forms";
  sandboxed.srcdoc = `<script>fetch(${{JSON.stringify(target + path)}}, {{method: "POST", mode: "no-cors",
    body: ${{JSON.stringify(body)}}}}).finally(() => parent.postMessage("sent", "*"))</script>`;
  const sent = new Promise((resolve) => {{ window.onmessage = resolve; }});
  document.body.append(sandboxed); told.sandboxed = await soon(sent);
  return told;
}})()
"""
STREAM = """
(async () => {{
  const call = (headers) => fetch({target} + "/generate_stream", {{
    method: "POST", headers: {{"Content-Type": "application/json", ...headers}},
    body: JSON.stringify({{inputs: "hi", parameters: {{max_new_tokens: 8}}}}) }});
  const refused = await call({{}});
  const answer = await call({{"Authorization": "Bearer secret", "x-mine": "1"}});
  const reader = answer.body.getReader(); let text = "";
  for (;;) {{
    const {{done, value}} = await reader.read();
    if (done) break;
    text += new TextDecoder().decode(value);
  }}
  const missing = await fetch({target} + "/nowhere");
  return {{
    refused: refused.status, status: answer.status, id: answer.headers.get("x-request-id"), text,
    missing: missing.status,
  }};
}})()
"""


@asynccontextmanager
async def page_server() -> AsyncIterator[int]:
    """A site of somebody else: its port."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><body>hello", content_type="text/html")

    runner = web.AppRunner(app := web.Application(), access_log=None)
    app.router.add_get("/", page)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def attack(page: Page, target: str, path: str, body: Mapping[str, object]) -> dict[str, object]:
    values = {"target": target, "path": path, "body": json.dumps(body)}
    return dict(await page.run(ATTACKS.format(**{name: json.dumps(value) for name, value in values.items()})))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("serve", [tgi.serve, openai.serve])
@pytest.mark.parametrize("name", [FOREIGN, "127.0.0.1", "localhost"])
async def test_a_page_of_another_origin_cannot_generate(tmp_path: Path, serve, name: str):
    engine = Witness(ids_of("hello", tmp_path))
    path, body = "/v1/completions", {"prompt": "hi", "model": "toy/model"}
    if serve is tgi.serve:
        path, body = "/generate", {"inputs": "hi"}
    async with (
        serving(settings(tmp_path), engine, serve=serve) as server,
        page_server() as port,
        chromium(tmp_path / "profile", names=(FOREIGN,)) as page,
    ):
        await page.open(f"http://{name}:{port}/")
        told = await attack(page, server.url, path, body)
        assert told["cors"] == told["simple"] == "TypeError: Failed to fetch", told
        assert not engine.asked
        async with (
            aiohttp.ClientSession(server.url) as session,
            session.post(path, json=body) as response,
        ):
            assert (response.status, len(engine.asked)) == (200, 1)


@pytest.mark.timeout(180)
async def test_any_page_may_generate_where_the_operator_says_so_and_manage_nowhere(tmp_path: Path):
    engine, pages = Witness(ids_of("hello", tmp_path)), PageRules(origins=("*",))
    told = settings(tmp_path, pages=pages, management=ManagementAccess(is_open=True, pages=pages))
    async with (
        serving(told, engine) as server,
        page_server() as port,
        chromium(tmp_path / "profile", names=(FOREIGN,)) as page,
    ):
        await page.open(f"http://{FOREIGN}:{port}/")
        assert (await attack(page, server.url, "/generate", {"inputs": "hi"}))["cors"] == 200
        asked = len(engine.asked)
        assert asked > 0
        assert (await attack(page, server.url, "/adapters", {"name": "x", "source": "/x"}))["cors"] == 403
        assert (await attack(page, server.url, "/abort/x", {}))["cors"] == 403
        assert len(engine.asked) == asked


@pytest.mark.timeout(180)
async def test_a_page_of_another_origin_cannot_register_a_model(tmp_path: Path):
    folder, marker, model = tmp_path / "evil", tmp_path / "it-ran", tmp_path / "model"
    folder.mkdir()
    model.mkdir()
    (folder / "model.py").write_text(HANDLER.format(marker=str(marker)))
    (model / "serving.properties").write_text("option.model_id=any\n")
    path = f"/models?url={folder}&model_name=evil"
    async with (
        lmi_serving(model, "0.36.0", tmp_path / "log", "--open-management") as session,
        page_server() as port,
        chromium(tmp_path / "profile", names=(FOREIGN,)) as page,
    ):
        assert session._base_url is not None
        target = str(session._base_url).rstrip("/")
        await page.open(f"http://{FOREIGN}:{port}/")
        told = await attack(page, target, path, {"inputs": "hi"})
        assert told["cors"] == "TypeError: Failed to fetch", told
        # The page's own name is made to point at this machine: what it sends is of its own origin then.
        await page.open(target.replace("127.0.0.1", FOREIGN) + "/models")
        script = f"fetch({json.dumps(path)}, {{method: 'POST'}}).then((answer) => answer.status)"
        assert await page.run("location.host.split(':')[0]") == FOREIGN
        assert await page.run(script) == 403
        assert (
            await page.run("fetch('/invocations', {method: 'POST', body: '{}'}).then((a) => a.status)") == 403
        )
        async with session.get("/models") as response:
            assert [each["modelName"] for each in (await response.json())["models"]] == ["model"]
        assert not marker.exists()
        # Another program of this machine may, as the server was started to let it.
        async with session.post(path) as response:
            assert (response.status, marker.exists()) == (200, True)


@pytest.mark.timeout(180)
async def test_a_page_of_an_allowed_origin_streams_with_its_key_and_reads_errors(tmp_path: Path):
    engine = Witness(ids_of("hello", tmp_path))
    async with page_server() as port:
        origin = f"http://{FOREIGN}:{port}"
        told = settings(tmp_path, api_key="secret", pages=PageRules(origins=(origin,)))
        async with (
            serving(told, engine) as server,
            chromium(tmp_path / "profile", names=(FOREIGN,)) as page,
        ):
            await page.open(f"{origin}/")
            found = await page.run(STREAM.format(target=json.dumps(server.url)))
    assert (found["refused"], found["status"], found["missing"]) == (401, 200, 404)
    assert len(found["id"]) == 24
    assert '"generated_text":"hello"' in found["text"]
