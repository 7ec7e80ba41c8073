"""langchain-huggingface: an endpoint as a language model, and as a chat model."""

from __future__ import annotations

import asyncio

from conversation import converse
from langchain_huggingface import ChatHuggingFace, HuggingFaceEndpoint


def endpoint(url: str, **options) -> HuggingFaceEndpoint:
    """As it comes: with a typical_p of 0.95, a top_k of 10, a top_p of 0.95 and a temperature of 0.8."""
    return HuggingFaceEndpoint(endpoint_url=url, **({"max_new_tokens": 40} | options))


class Endpoint:
    def whole(self, url: str) -> str:
        return endpoint(url).invoke("hi")

    def stream(self, url: str) -> str:
        return "".join(endpoint(url).stream("hi"))

    def async_stream(self, url: str) -> str:
        async def collect() -> str:
            return "".join([piece async for piece in endpoint(url).astream("hi")])

        return asyncio.run(collect())

    def documented(self, url: str) -> str:
        """With the options of langchain's own example, but for the length of the answer."""
        options = {"top_k": 10, "top_p": 0.95, "typical_p": 0.95, "temperature": 0.01}
        return endpoint(url, **options, repetition_penalty=1.03, streaming=True).invoke("hi")

    def stops(self, url: str) -> str:
        """langchain takes the stop string off by itself."""
        return endpoint(url).invoke("hi", stop=["world"])

    def wrong(self, url: str) -> str:
        return endpoint(url, max_new_tokens=1000).invoke("hi")

    def wrong_stream(self, url: str) -> str:
        return "".join(endpoint(url, max_new_tokens=1000).stream("hi"))

    def open(self, url: str) -> str:
        self._stream = endpoint(url).stream("hi")
        return next(self._stream)

    def leave(self, url: str) -> None:
        self._stream.close()

    def rest(self, url: str) -> None:
        list(self._stream)


class Chat:
    def whole(self, url: str) -> str:
        return chat(url).invoke("Say hello").content

    def stream(self, url: str) -> str:
        return "".join(piece.content for piece in chat(url).stream("Say hello"))

    def async_stream(self, url: str) -> str:
        async def collect() -> str:
            return "".join([piece.content async for piece in chat(url).astream("Say hello")])

        return asyncio.run(collect())

    def wrong(self, url: str) -> str:
        return chat(url, max_new_tokens=1000).invoke("Say hello").content

    def wrong_stream(self, url: str) -> str:
        return "".join(piece.content for piece in chat(url, max_new_tokens=1000).stream("Say hello"))

    def open(self, url: str) -> str:
        self._stream = chat(url).stream("Say hello")
        return next(self._stream).content

    def leave(self, url: str) -> None:
        self._stream.close()

    def rest(self, url: str) -> None:
        list(self._stream)


def chat(url: str, **options) -> ChatHuggingFace:
    return ChatHuggingFace(llm=endpoint(url, **options), model_id="toy/model")


converse({"endpoint": Endpoint(), "chat": Chat()})
