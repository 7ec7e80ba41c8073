"""The client of endpoints and model servers for programs without asyncio: AsyncClient in a thread."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from typing import Any, Self

from nearstream.client.async_client import DEFAULT_LIMITS, DEFAULT_RETRIES, AsyncClient
from nearstream.client.calls import Response, StreamedCall
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
        """See AsyncClient.warm_up."""
        return self._thread.run(self._client.warm_up())

    def invoke(self, body: Mapping[str, Any] | str | bytes, *, content_type: str = JSON) -> Response:
        """Send a body to the model and wait for its whole answer; see AsyncClient.invoke."""
        return self._thread.run(self._client.invoke(body, content_type=content_type))

    def stream(
        self, prompt: str, *, max_new_tokens: int | None = None, parameters: Parameters | None = None
    ) -> TextStream:
        """Stream the model's continuation of a text; see AsyncClient.stream."""
        return self._streamed(self._client.streamed_call(prompt, max_new_tokens, parameters))

    def chat(
        self,
        messages: str | Messages,
        *,
        max_new_tokens: int | None = None,
        parameters: Parameters | None = None,
    ) -> TextStream:
        """Stream the model's answer to a conversation; see AsyncClient.chat."""
        turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
        return self._streamed(self._client.streamed_call(turns, max_new_tokens, parameters))

    def _streamed(self, call: StreamedCall) -> TextStream:
        return TextStream(self._pulled(call), lambda: self._end(call))

    def _end(self, call: StreamedCall) -> None:
        if not self._thread.closed:
            self._thread.run(call.aclose())

    def _pulled(self, call: StreamedCall) -> Iterator[bytes]:
        while (data := self._thread.run(_next(call))) is not None:
            yield data


def _close(client: AsyncClient, thread: LoopThread) -> None:
    """Also at the end of a program that closed nothing."""
    if not thread.closed:
        thread.run(client.aclose())
        thread.close()


async def _next(call: StreamedCall) -> bytes | None:
    return await anext(call, None)
