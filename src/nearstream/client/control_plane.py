"""Signed calls to a site's control plane, and what it says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import aiohttp
import msgspec

from nearstream.client.calls import failure
from nearstream.client.signing import Credentials, signed

CONTROL_TYPE: Final = "application/x-amz-json-1.1"
_OK: Final = 200


class ControlPlane:
    """Calls one front door. `session` is the caller's, and stays open."""

    def __init__(self, url: str, credentials: Credentials, session: aiohttp.ClientSession) -> None:
        self._url = url.rstrip("/")
        self._credentials = credentials
        self._session = session

    async def call(self, operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        """One operation of SageMaker. Raises CallFailed."""
        headers = {"Content-Type": CONTROL_TYPE, "X-Amz-Target": f"SageMaker.{operation}"}
        return await self._send("POST", "/", msgspec.json.encode(members), headers)

    async def status(self) -> dict[str, Any]:
        """What the site runs: endpoints and their replicas. Raises CallFailed."""
        return await self._send("GET", "/nearstream/status", b"", {})

    async def _send(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        url = self._url + path
        headers = signed(method, url, body, headers, self._credentials)
        async with self._session.request(method, url, data=body, headers=headers) as response:
            answer = await response.read()
            if response.status != _OK:
                raise failure(response, answer)
            document: dict[str, Any] = msgspec.json.decode(answer) if answer else {}
            return document
