"""A small client of SageMaker's hosting API over aiohttp: signed calls and streamed invocations."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SigningKeys

from nearstream.core.errors import NearstreamError
from nearstream.home.keys import Credentials
from nearstream.wire.framing import eventstream

CONTROL_TYPE = "application/x-amz-json-1.1"


class CallFailed(NearstreamError):
    """The endpoint or the control plane answered with an error: its AWS code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
        self.message = message


class SageMakerClient:
    """Calls one front door. `session` is the caller's, and stays open."""

    def __init__(self, url: str, credentials: Credentials, session: aiohttp.ClientSession) -> None:
        self._url = url.rstrip("/")
        self._keys = SigningKeys(credentials.access_key, credentials.secret_key)
        self._region = credentials.region
        self._session = session

    async def call(self, operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        """One control plane operation. Raises CallFailed."""
        body = msgspec.json.encode(members)
        headers = {"Content-Type": CONTROL_TYPE, "X-Amz-Target": f"SageMaker.{operation}"}
        async with self._session.post(
            f"{self._url}/", data=body, headers=self._signed("POST", "/", body, headers)
        ) as response:
            answer = await response.read()
            if response.status != 200:  # noqa: PLR2004
                raise _failure(response, answer)
            document: dict[str, Any] = msgspec.json.decode(answer) if answer else {}
            return document

    async def status(self) -> dict[str, Any]:
        """What the site runs: endpoints and their replicas. Raises CallFailed."""
        async with self._session.get(
            f"{self._url}/nearstream/status", headers=self._signed("GET", "/nearstream/status", b"", {})
        ) as response:
            answer = await response.read()
            if response.status != 200:  # noqa: PLR2004
                raise _failure(response, answer)
            document: dict[str, Any] = msgspec.json.decode(answer)
            return document

    async def stream(self, endpoint: str, body: bytes) -> AsyncGenerator[bytes, None]:
        """InvokeEndpointWithResponseStream: the payload of each part as it comes. Raises CallFailed."""
        path = f"/endpoints/{quote(endpoint, safe='')}/invocations-response-stream"
        headers = self._signed("POST", path, body, {"Content-Type": "application/json"})
        async with self._session.post(self._url + path, data=body, headers=headers) as response:
            if response.status != 200:  # noqa: PLR2004
                raise _failure(response, await response.read())
            decoder = eventstream.Decoder()
            async for data in response.content.iter_any():
                for message in decoder.feed(data):
                    if message.is_exception:
                        failure = msgspec.json.decode(message.payload, type=dict[str, str])
                        kind = message.headers.get(":exception-type", "ModelStreamError")
                        raise CallFailed(kind, failure.get("Message", ""))
                    yield message.payload
            decoder.flush()

    def _signed(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> dict[str, str]:
        request = AWSRequest(method, self._url + path, headers=dict(headers), data=body)
        SigV4Auth(self._keys, "sagemaker", self._region).add_auth(request)
        return dict(request.headers.items())


def _failure(response: aiohttp.ClientResponse, body: bytes) -> CallFailed:
    code = response.headers.get("x-amzn-ErrorType", str(response.status)).split(":")[0]
    try:
        document = msgspec.json.decode(body)
        return CallFailed(code, document.get("message") or document.get("Message") or "")
    except (msgspec.MsgspecError, AttributeError):
        return CallFailed(code, body.decode(errors="replace")[:500])
