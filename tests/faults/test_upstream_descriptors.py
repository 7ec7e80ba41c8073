"""A front door without descriptors for a call: the call may be tried again, and the replica is not blamed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.faults.test_descriptors import no_descriptors

from nearstream.core.errors import Overloaded
from nearstream.core.replicas import UnixSocket
from nearstream.frontdoor.upstream.connection import ReplicaGone, connect


async def test_no_descriptor_is_overload_and_no_lost_replica(tmp_path: Path):
    path = tmp_path / "r.sock"
    async with await asyncio.start_unix_server(lambda _, writer: writer.close(), path):
        with no_descriptors(), pytest.raises(Overloaded, match="descriptor"):
            await connect(UnixSocket(str(path)))
    with pytest.raises(ReplicaGone):
        await connect(UnixSocket(str(tmp_path / "nobody.sock")))
