"""Finds and brings the objects of an S3: those that a model's data URL names."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from nearstream.core.errors import Unfit, Unusable

CONNECT_TIMEOUT_S = 10.0
OBJECTS_MOST = 100_000
_AWS_HOST = re.compile(
    r"(?:(?P<bucket>[a-z0-9][a-z0-9.-]*)\.)?s3(?:[.-](?!accesspoint)[a-z0-9-]+)*\.amazonaws\.com(?:\.cn)?"
)
_NOT_THERE = ("404", "NoSuchKey", "NoSuchBucket", "NotFound")
_FORBIDDEN = (
    "403",
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
)


@dataclass(frozen=True, slots=True)
class Access:
    """An S3 and the keys to it; keys None: those that boto3 finds by itself."""

    url: str
    region: str
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    ca_bundle: Path | None = None
    """Authorities to trust; None: those that boto3 trusts."""


@dataclass(frozen=True, slots=True)
class Address:
    """A bucket and a key or the beginning of keys."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class Object:
    """One object as it is now."""

    key: str
    etag: str
    size: int


def parse(url: str, *, site: str) -> Address:
    """What `s3://…` names, or an https URL of AWS's S3 or of the S3 at the URL `site`. Raises Unfit."""
    if url.startswith("s3://"):
        bucket, _, key = url.removeprefix("s3://").partition("/")
        if not bucket:
            raise Unfit(f"The model data URL {url} names no bucket.")
        return Address(bucket, key)
    parts = urlsplit(url)
    path = unquote(parts.path).lstrip("/")
    if parts.scheme in ("http", "https") and parts.netloc == urlsplit(site).netloc:
        bucket, _, key = path.partition("/")
    elif parts.scheme == "https" and (aws := _AWS_HOST.fullmatch(parts.netloc)):
        bucket, key = (aws["bucket"], path) if aws["bucket"] else path.partition("/")[::2]
    else:
        raise Unfit(f"The model data URL {url} is neither s3://bucket/key nor https with the host of an S3.")
    return Address(bucket, key)


class Bucket:
    """One address in one S3. Every method raises Unfit for what will not mend itself, else Unusable."""

    def __init__(self, access: Access, address: Address) -> None:
        self._access = access
        self._address = address
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=access.url,
            region_name=access.region,
            aws_access_key_id=access.access_key,
            aws_secret_access_key=access.secret_key,
            verify=None if access.ca_bundle is None else str(access.ca_bundle),
            config=Config(
                signature_version="s3v4",
                connect_timeout=CONNECT_TIMEOUT_S,
                retries={"mode": "standard", "total_max_attempts": 5},
            ),
        )

    def find(self) -> tuple[Object, ...]:
        """The one object of the address; else all below it, sorted by key, without markers of folders.

        Below an address that ends with a slash there may be none.
        """
        key = self._address.key
        with self._told():
            if key and not key.endswith("/"):
                found = self._head(key)
                if found is not None:
                    return (found,)
                key += "/"
            below = tuple(sorted(self._below(key), key=lambda each: each.key))
        if not below and key != self._address.key:
            raise Unfit(f"There is no object {self._address} and none below it at {self._access.url}.")
        return below

    def fetch(self, wanted: Object, path: Path, *, check: Callable[[], None]) -> None:
        """Write the object to `path`; `check` is called as bytes come, and may raise to end it."""
        with self._told():
            self._client.download_file(
                self._address.bucket, wanted.key, str(path), Callback=lambda _: check()
            )
            now = self._head(wanted.key)
        if now != wanted or path.stat().st_size != wanted.size:
            raise Unusable(f"s3://{self._address.bucket}/{wanted.key} was changed while it was fetched.")

    def relative(self, each: Object) -> PurePosixPath:
        """Where an object goes below the address's folder. Raises Unfit for a key that leads out of it."""
        key = self._address.key
        if each.key == key:
            return PurePosixPath(PurePosixPath(key).name)
        folder = key if key.endswith("/") or not key else f"{key}/"
        rest = each.key.removeprefix(folder)
        path = PurePosixPath(rest)
        if rest.startswith("/") or ".." in path.parts or "\0" in rest or not path.parts:
            raise Unfit(f"The object s3://{self._address.bucket}/{each.key} has a key that is no path.")
        return path

    def _head(self, key: str) -> Object | None:
        try:
            head = self._client.head_object(Bucket=self._address.bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _NOT_THERE:
                return None
            raise
        return Object(key, head["ETag"].strip('"'), head["ContentLength"])

    def _below(self, prefix: str) -> Iterator[Object]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._address.bucket, Prefix=prefix
        )
        count = 0
        for page in pages:
            for each in page.get("Contents", []):
                count += 1
                if count > OBJECTS_MOST:
                    raise Unfit(f"Below {self._address} lie more than {OBJECTS_MOST} objects.")
                if not each["Key"].endswith("/"):
                    yield Object(each["Key"], each["ETag"].strip('"'), each["Size"])

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of boto3 as one sentence."""
        try:
            yield
        except ClientError as error:
            raise self._explained(error) from error
        except (BotoCoreError, Boto3Error) as error:
            raise Unusable(f"{self._address} cannot be fetched from {self._access.url}: {error}") from error
        except OSError as error:
            why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
            raise Unusable(f"{self._address} cannot be fetched: {why}.") from error

    def _explained(self, error: ClientError) -> Unusable:
        code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
        if code in _NOT_THERE:
            return Unfit(f"There is no {self._address} at {self._access.url}: {message or code}.")
        if code in _FORBIDDEN:
            return Unfit(
                f"{self._address} may not be read with the keys that are set ({code}) at {self._access.url}."
            )
        return Unusable(f"{self._address} cannot be fetched from {self._access.url}: {message or code}.")
