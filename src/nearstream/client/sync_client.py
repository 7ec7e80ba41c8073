"""The client of endpoints and model servers for programs without asyncio: AsyncClient in a thread."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from typing import Any, Self

from nearstream.client.async_client import DEFAULT_LIMITS, DEFAULT_RETRIES, AsyncClient
from nearstream.client.calls import AsyncByteStream, Response
from nearstream.client.limits import Retries, TimeLimits
from nearstream.client.loop_thread import LoopThread
from nearstream.client.targets import JSON, Messages, Parameters, Target
from nearstream.client.text_stream import TextStream


class Client:
    """Calls one endpoint or one model server.

        endpoint = nearstream.SageMakerEndpoint.from_environment("assistant")
        with nearstream.Client(endpoint) as client:
            for piece in client.chat("What is time to first token?"):
                print(piece, end="", flush=True)

    `target` is a SageMakerEndpoint or a ModelServer. Threads may share a client; each call raises CallFailed
    for an error answer, Unreachable, and TimedOut with the limit that passed. Close the client, or use it in
    `with`, to close its connections.
    """

    def __init__(
        self, target: Target, *, limits: TimeLimits = DEFAULT_LIMITS, retries: Retries = DEFAULT_RETRIES
    ) -> None:
        self._client = AsyncClient(target, limits=limits, retries=retries)
        self._thread = LoopThread("nearstream-client")
        self._finalizer = weakref.finalize(self, _close, self._client, self._thread)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; streams that are open end. Safe to call twice."""
        self._finalizer()

    def warm_up(self) -> bool:
        """Open a connection, so that the first call does not wait for it; whether the service is healthy."""
        return self._thread.run(self._client.warm_up())

    def invoke(self, body: Mapping[str, Any] | str | bytes, *, content_type: str = JSON) -> Response:
        """Send a body to the model and wait for its whole answer: InvokeEndpoint, or POST /invocations.

        A mapping is sent as JSON, a text as UTF-8, bytes as they are.
        """
        return self._thread.run(self._client.invoke(body, content_type=content_type))

    def stream_bytes(self, body: Mapping[str, Any] | str | bytes, *, content_type: str = JSON) -> ByteStream:
        """Send a body as `invoke` does and get the parts of the answer as the container flushes them."""
        return ByteStream(self._client.stream_bytes(body, content_type=content_type), self._thread)

    def stream(
        self, prompt: str, *, max_new_tokens: int | None = None, parameters: Parameters | None = None
    ) -> TextStream:
        """Stream the model's continuation of a text, without its chat template.

        `parameters` are the service's own (`temperature`, `top_p`, `seed`, ...). The call begins with the
        first piece that is waited for.
        """
        return self._streamed(
            self._client.generation(prompt, max_new_tokens=max_new_tokens, parameters=parameters)
        )

    def chat(
        self,
        messages: str | Messages,
        *,
        max_new_tokens: int | None = None,
        parameters: Parameters | None = None,
    ) -> TextStream:
        """Stream the model's answer to a conversation: `{"role": ..., "content": ...}` for each turn.

        A text alone is one message of the user. `parameters` as in `stream`.
        """
        turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
        return self._streamed(
            self._client.generation(turns, max_new_tokens=max_new_tokens, parameters=parameters)
        )

    def _streamed(self, call: AsyncByteStream) -> TextStream:
        data = ByteStream(call, self._thread)
        return TextStream(data, data.close)


class ByteStream:
    """AsyncByteStream for programs without asyncio: iterate over it, close it to end the call."""

    def __init__(self, call: AsyncByteStream, thread: LoopThread) -> None:
        self._call = call
        self._thread = thread

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        data = self._thread.run(_next(self._call))
        if data is None:
            raise StopIteration
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the call now; safe to call twice."""
        if not self._thread.closed:
            self._thread.run(self._call.aclose())


def _close(client: AsyncClient, thread: LoopThread) -> None:
    """Also at the end of a program that closed nothing."""
    if not thread.closed:
        thread.run(client.aclose())
        thread.close()


async def _next(call: AsyncByteStream) -> bytes | None:
    return await anext(call, None)
