"""CustomAttributes that a container answers with."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.contract.frontdoor.test_relay import HEAD, stand

from nearstream.core.errors import CallFailed


@pytest.mark.parametrize("attributes", ["x" * 1025, "tr\u00e4ce"])
async def test_custom_attributes_that_no_client_may_be_sent_are_a_model_error(
    tmp_path: Path, attributes: str
) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        header = f"X-Amzn-SageMaker-Custom-Attributes: {attributes}\r\n".encode()
        writer.write(HEAD.replace(b"Content-Type", header + b"Content-Type") + b"0\r\n\r\n")

    async with stand(tmp_path, talk) as made:
        with pytest.raises(CallFailed, match="answered with CustomAttributes of") as caught:
            await made.parts()
        assert caught.value.code == "ModelError"
