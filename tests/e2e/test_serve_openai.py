"""`nearstream serve --as openai` in a process, on the built-in model."""

from __future__ import annotations

from pathlib import Path

import openai
import pytest
from tests.support.server import served

ASK = [{"role": "user", "content": "Say hello."}]


def test_it_serves_the_built_in_model_to_openais_client(tmp_path: Path):
    with served(tmp_path, "--as", "openai") as url:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0)
        (model,) = client.models.list().data
        whole = client.chat.completions.create(model=model.id, messages=ASK, temperature=0, max_tokens=12)
        text = whole.choices[0].message.content
        stream = client.chat.completions.create(
            model=model.id, messages=ASK, temperature=0, max_tokens=12, stop=text[4:9], stream=True
        )
        assert "".join(chunk.choices[0].delta.content for chunk in stream) == text[:4]
        with pytest.raises(openai.NotFoundError, match="does not exist"):
            client.chat.completions.create(model="another", messages=ASK)
