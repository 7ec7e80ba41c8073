"""text_generation, TGI's own client. Its streamed chat cannot read TGI's `[DONE]`, so it is not tried."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from conversation import converse
from text_generation import AsyncClient, Client

FITS = {"max_new_tokens": 40}
TOO_MANY = {"max_new_tokens": 1000}
ASK = [{"role": "user", "content": "Say hello"}]


def told(response) -> dict:
    details = response.details
    tokens = "".join(token.text for token in details.tokens if not token.special)
    return {"text": response.generated_text, "tokens": tokens, "finish": details.finish_reason.value}


def streamed(events) -> dict:
    """The last event holds the whole text; those before it have none."""
    assert not any(event.generated_text or event.details for event in events[:-1])
    last = events[-1]
    tokens = "".join(event.token.text for event in events if not event.token.special)
    return {"text": last.generated_text, "tokens": tokens, "finish": last.details.finish_reason.value}


class Sync:
    def whole(self, url: str) -> dict:
        return told(Client(url).generate("hi", **FITS))

    def stream(self, url: str) -> dict:
        return streamed(list(Client(url).generate_stream("hi", **FITS)))

    def chat(self, url: str) -> str:
        return Client(url).chat(ASK, max_tokens=40).choices[0].message.content

    def wrong(self, url: str) -> dict:
        return told(Client(url).generate("hi", **TOO_MANY))

    def wrong_stream(self, url: str) -> dict:
        return streamed(list(Client(url).generate_stream("hi", **TOO_MANY)))

    def open(self, url: str) -> str:
        self._stream = Client(url).generate_stream("hi", **FITS)
        return next(self._stream).token.text

    def leave(self, url: str) -> None:
        self._stream.close()

    def rest(self, url: str) -> None:
        list(self._stream)


class Async:
    def __init__(self) -> None:
        self._loop = asyncio.Runner()

    def whole(self, url: str) -> dict:
        return told(self._loop.run(AsyncClient(url).generate("hi", **FITS)))

    def stream(self, url: str) -> dict:
        return streamed(self._all(AsyncClient(url).generate_stream("hi", **FITS)))

    def chat(self, url: str) -> str:
        return self._loop.run(AsyncClient(url).chat(ASK, max_tokens=40)).choices[0].message.content

    def wrong(self, url: str) -> dict:
        return told(self._loop.run(AsyncClient(url).generate("hi", **TOO_MANY)))

    def wrong_stream(self, url: str) -> dict:
        return streamed(self._all(AsyncClient(url).generate_stream("hi", **TOO_MANY)))

    def open(self, url: str) -> str:
        self._stream = AsyncClient(url).generate_stream("hi", **FITS)
        return self._loop.run(anext(self._stream)).token.text

    def leave(self, url: str) -> None:
        self._loop.run(self._stream.aclose())

    def rest(self, url: str) -> None:
        self._all(self._stream)

    def _all(self, stream) -> list:
        async def collect() -> list:
            async with aclosing(stream):
                return [event async for event in stream]

        return self._loop.run(collect())


converse({"sync": Sync(), "async": Async()})
