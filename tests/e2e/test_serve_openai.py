"""`nearstream serve --as openai` in a process, on the built-in model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import openai
import pytest
from tests.support.ports import free_port
from tests.support.site import START_TIMEOUT_S
from tests.support.waiting import eventually

COMMAND = str(Path(sys.executable).with_name("nearstream"))
ASK = [{"role": "user", "content": "Say hello."}]


def test_it_serves_the_built_in_model_to_openais_client(tmp_path: Path):
    port, log = free_port(), tmp_path / "log"
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "NEARSTREAM_HOME": str(tmp_path)}
    command = [COMMAND, "serve", "builtin", "--as", "openai", "--port", str(port)]
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environ, stdout=output, stderr=output)
    try:
        eventually(
            lambda: process.poll() is not None or "event=ready" in log.read_text(),
            "the model server is ready",
            within_s=START_TIMEOUT_S,
        )
        assert process.poll() is None, log.read_text()
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="unused", max_retries=0)
        (model,) = client.models.list().data
        whole = client.chat.completions.create(model=model.id, messages=ASK, temperature=0, max_tokens=12)
        text = whole.choices[0].message.content
        stream = client.chat.completions.create(
            model=model.id, messages=ASK, temperature=0, max_tokens=12, stop=text[4:9], stream=True
        )
        assert "".join(chunk.choices[0].delta.content for chunk in stream) == text[:4]
        with pytest.raises(openai.NotFoundError, match="does not exist"):
            client.chat.completions.create(model="another", messages=ASK)
    finally:
        process.kill()
        process.wait()
