"""Keys that sites share: one client's signature is good wherever its key was imported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from tests.support.site import Site, nearstream
from tests.support.waiting import eventually

CHAT = json.dumps({"inputs": "Hello", "parameters": {"max_new_tokens": 3}}).encode()


@pytest.fixture
def other_site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "other")
    try:
        made.start()
        yield made
    finally:
        made.stop()


def invoke(site: Site, key: dict[str, str]) -> int:
    client = site.client(
        "sagemaker-runtime", AWS_ACCESS_KEY_ID=key["access_key"], AWS_SECRET_ACCESS_KEY=key["secret_key"]
    )
    try:
        answer = client.invoke_endpoint(EndpointName="assistant", Body=CHAT, ContentType="application/json")
    except ClientError as error:
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
    return int(answer["ResponseMetadata"]["HTTPStatusCode"])


def stored(site: Site, key: dict[str, str]) -> bytes:
    """What an object holds that one key wrote, as another key reads it."""
    writer = site.client("s3", AWS_ACCESS_KEY_ID=key["access_key"], AWS_SECRET_ACCESS_KEY=key["secret_key"])
    writer.create_bucket(Bucket="keys")
    writer.put_object(Bucket="keys", Key="k", Body=b"by the imported key")
    found: bytes = site.client("s3").get_object(Bucket="keys", Key="k")["Body"].read()
    return found


def test_an_imported_key_signs_at_both_sites_until_it_is_removed(
    site: Site, other_site: Site, tmp_path: Path
) -> None:
    made = nearstream("keys", "add", "edge", "--show-secret", "--json", home=site.home)
    (key,) = json.loads(made.stdout)
    eventually(lambda: invoke(site, key) == 200, "the site that runs takes the key")
    assert invoke(other_site, key) == 403

    secret = tmp_path / "secret"
    secret.write_text(key["secret_key"])
    imported = nearstream(
        "keys", "import", "edge", "--access-key", key["access_key"], "--secret-file", str(secret),
        home=other_site.home,
    )  # fmt: skip
    assert imported.returncode == 0, imported
    eventually(lambda: invoke(other_site, key) == 200, "the other site takes it, too")
    for place in (site, other_site):
        assert stored(place, key) == b"by the imported key"

    listed = nearstream("keys", "list", home=other_site.home)
    assert key["access_key"] in listed.stdout and "edge" in listed.stdout and "site" in listed.stdout
    assert key["secret_key"] not in listed.stdout + imported.stdout
    assert key["secret_key"] in nearstream("keys", "list", "--show-secret", home=other_site.home).stdout

    assert nearstream("keys", "remove", "edge", home=site.home).returncode == 0
    eventually(lambda: invoke(site, key) == 403, "a removed key is refused")
    assert invoke(other_site, key) == 200
    assert nearstream("keys", "remove", "edge", home=site.home).returncode == 5
    assert nearstream("keys", "remove", "site", home=site.home).returncode == 4
