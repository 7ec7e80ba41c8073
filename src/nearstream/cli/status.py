"""`nearstream status`: what runs on this site, and in place of what."""

from __future__ import annotations

import asyncio
import json as jsonlib
from typing import Any

from nearstream.cli.connection import connect
from nearstream.cli.options import HomeOption, JsonOption, site


def status(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """Show the front door, each endpoint and each of its replicas."""
    _, place = site(home)

    async def run() -> dict[str, Any]:
        async with connect(place) as client:
            return await client.status()

    document = asyncio.run(run())
    if json:
        print(jsonlib.dumps(document, indent=2))
        return
    print(f"front door  {document['url']}  account {document['account']}  region {document['region']}")
    print(f"objects     {document['objects']}")
    if not document["endpoints"]:
        print("no endpoints")
    for endpoint in document["endpoints"]:
        print(f"\n{endpoint['name']}  {endpoint['status']}")
        if endpoint["failure_reason"]:
            print(f"  {endpoint['failure_reason']}")
        for replica in endpoint["replicas"]:
            print(f"  {_replica(replica)}")


def _replica(replica: dict[str, Any]) -> str:
    runs, asked = replica["model"], replica["requested_model"]
    model = runs if runs == asked else f"{runs} in place of {asked} (alias)"
    return (
        f"{replica['variant']}  {replica['state']}  {model}, {replica['persona']} {replica['version']}, "
        f"{replica['handle'] or 'not started'}, {replica['in_flight']} in flight"
    )
