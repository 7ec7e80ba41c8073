"""huggingface_hub 0.36, the last one on requests and aiohttp, and with it every program that pins `<1`."""

from __future__ import annotations

import asyncio

from conversation import converse
from huggingface_hub import AsyncInferenceClient, InferenceClient

FITS = {"max_new_tokens": 40, "details": True, "return_full_text": False}
TOO_MANY = FITS | {"max_new_tokens": 1000}
ASK = [{"role": "user", "content": "Say hello"}]


def told(response) -> dict:
    details = response.details
    tokens = "".join(token.text for token in details.tokens if not token.special)
    return {"text": response.generated_text, "tokens": tokens, "finish": details.finish_reason}


def streamed(events) -> dict:
    """The last event holds the whole text; those before it have none."""
    assert not any(event.generated_text or event.details for event in events[:-1])
    last = events[-1]
    tokens = "".join(event.token.text for event in events if not event.token.special)
    return {"text": last.generated_text, "tokens": tokens, "finish": last.details.finish_reason}


class Sync:
    def whole(self, url: str) -> dict:
        return told(InferenceClient(base_url=url).text_generation("hi", **FITS))

    def stream(self, url: str) -> dict:
        return streamed(list(InferenceClient(base_url=url).text_generation("hi", stream=True, **FITS)))

    def chat(self, url: str) -> str:
        client = InferenceClient(base_url=url)
        whole = client.chat_completion(ASK, max_tokens=40).choices[0].message.content
        pieces = client.chat_completion(ASK, max_tokens=40, stream=True)
        assert "".join(piece.choices[0].delta.content for piece in pieces) == whole
        return whole

    def wrong(self, url: str) -> dict:
        return told(InferenceClient(base_url=url).text_generation("hi", **TOO_MANY))

    def wrong_stream(self, url: str) -> dict:
        return streamed(list(InferenceClient(base_url=url).text_generation("hi", stream=True, **TOO_MANY)))

    def open(self, url: str) -> str:
        self._stream = InferenceClient(base_url=url).text_generation("hi", stream=True, **FITS)
        return next(self._stream).token.text

    def leave(self, url: str) -> None:
        self._stream.close()

    def rest(self, url: str) -> None:
        list(self._stream)


class Async:
    def __init__(self) -> None:
        self._loop = asyncio.Runner()

    def whole(self, url: str) -> dict:
        return told(self._run(url, FITS))

    def stream(self, url: str) -> dict:
        return streamed(self._all(self._run(url, FITS | {"stream": True})))

    def chat(self, url: str) -> str:
        async def talk() -> str:
            client = AsyncInferenceClient(base_url=url)
            pieces = await client.chat_completion(ASK, max_tokens=40, stream=True)
            streamed = "".join([piece.choices[0].delta.content async for piece in pieces])
            whole = await client.chat_completion(ASK, max_tokens=40)
            assert streamed == whole.choices[0].message.content
            return streamed

        return self._loop.run(talk())

    def wrong(self, url: str) -> dict:
        return told(self._run(url, TOO_MANY))

    def wrong_stream(self, url: str) -> dict:
        return streamed(self._all(self._run(url, TOO_MANY | {"stream": True})))

    def open(self, url: str) -> str:
        self._stream = self._run(url, FITS | {"stream": True})
        return self._loop.run(anext(self._stream)).token.text

    def leave(self, url: str) -> None:
        """Its inner generators are left to the event loop, which closes them at its own end at the latest."""
        self._loop.run(self._stream.aclose())
        self._loop.close()
        self._loop = asyncio.Runner()

    def rest(self, url: str) -> None:
        self._all(self._stream)

    def _run(self, url: str, options: dict):
        return self._loop.run(AsyncInferenceClient(base_url=url).text_generation("hi", **options))

    def _all(self, stream) -> list:
        async def collect() -> list:
            return [event async for event in stream]

        return self._loop.run(collect())


converse({"sync": Sync(), "async": Async()})
