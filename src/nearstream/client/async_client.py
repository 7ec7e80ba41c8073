"""The client of endpoints and model servers for programs that use asyncio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self

import msgspec

from nearstream.client.calls import AsyncByteStream, Caller, Response
from nearstream.client.limits import Retries, TimeLimits
from nearstream.client.targets import JSON, Messages, Parameters, Target
from nearstream.client.text_stream import AsyncTextStream

DEFAULT_LIMITS: Final = TimeLimits()
DEFAULT_RETRIES: Final = Retries()


class AsyncClient:
    """Calls one endpoint or one model server.

        endpoint = nearstream.SageMakerEndpoint.from_environment("assistant")
        async with nearstream.AsyncClient(endpoint) as client:
            async with client.chat("What is time to first token?") as stream:
                async for piece in stream:
                    print(piece, end="", flush=True)

    `target` is a SageMakerEndpoint or a ModelServer. Calls may run at the same time; each raises CallFailed
    for an error answer, Unreachable, and TimedOut with the limit that passed. Close the client, or use it in
    `async with`, to close its connections.
    """

    def __init__(
        self, target: Target, *, limits: TimeLimits = DEFAULT_LIMITS, retries: Retries = DEFAULT_RETRIES
    ) -> None:
        self._target = target
        self._caller = Caller(limits, retries, ca_bundle=target.ca_bundle)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections; streams that are open end."""
        await self._caller.aclose()

    async def warm_up(self) -> bool:
        """Open a connection, so that the first call does not wait for it; whether the service is healthy."""
        return await self._caller.get(self._target.health_url) == 200  # noqa: PLR2004

    async def invoke(self, body: Mapping[str, Any] | str | bytes, *, content_type: str = JSON) -> Response:
        """Send a body to the model and wait for its whole answer: InvokeEndpoint, or POST /invocations.

        A mapping is sent as JSON, a text as UTF-8, bytes as they are.
        """
        return await self._caller.whole(self._target.invocation(_encoded(body), content_type, streamed=False))

    def stream_bytes(
        self, body: Mapping[str, Any] | str | bytes, *, content_type: str = JSON
    ) -> AsyncByteStream:
        """Send a body as `invoke` does and get the parts of the answer as the container flushes them."""
        return AsyncByteStream(
            self._caller,
            lambda: self._target.invocation(_encoded(body), content_type, streamed=True),
            self._target.streamed_body(),
        )

    def stream(
        self, prompt: str, *, max_new_tokens: int | None = None, parameters: Parameters | None = None
    ) -> AsyncTextStream:
        """Stream the model's continuation of a text, without its chat template.

        `parameters` are the service's own (`temperature`, `top_p`, `seed`, ...). The call begins with the
        first piece that is waited for.
        """
        return self._streamed(prompt, max_new_tokens, parameters)

    def chat(
        self,
        messages: str | Messages,
        *,
        max_new_tokens: int | None = None,
        parameters: Parameters | None = None,
    ) -> AsyncTextStream:
        """Stream the model's answer to a conversation: `{"role": ..., "content": ...}` for each turn.

        A text alone is one message of the user. `parameters` as in `stream`.
        """
        turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
        return self._streamed(turns, max_new_tokens, parameters)

    def _streamed(
        self, prompt: str | Messages, max_new_tokens: int | None, parameters: Parameters | None
    ) -> AsyncTextStream:
        call = self.generation(prompt, max_new_tokens, parameters)
        return AsyncTextStream(call, call.aclose)

    def generation(
        self,
        prompt: str | Messages,
        max_new_tokens: int | None,
        parameters: Parameters | None,
    ) -> AsyncByteStream:
        """The bytes behind `stream` (of a text) and `chat` (of messages), for what reads them itself."""
        limited = {} if max_new_tokens is None else {"max_new_tokens": max_new_tokens}
        asked = {**limited, **(parameters or {})}
        return AsyncByteStream(
            self._caller, lambda: self._target.generation(prompt, asked), self._target.streamed_body()
        )


def _encoded(body: Mapping[str, Any] | str | bytes) -> bytes:
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else msgspec.json.encode(body)
