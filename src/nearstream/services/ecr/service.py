"""ECR as the front door serves it: which images a site can run; it keeps none itself."""

from __future__ import annotations

import base64
import secrets
from typing import Any, Final

import msgspec

from nearstream.core.accounts import Account
from nearstream.core.errors import Invalid, NearstreamError, ServiceError
from nearstream.core.ports import Clock
from nearstream.fleet import images
from nearstream.services.service import Operation, Output, Service

TOKEN_S: Final = 12 * 3600


class GetAuthorizationToken(msgspec.Struct, frozen=True, rename="camel"):
    registry_ids: list[str] = []


class ImageId(msgspec.Struct, frozen=True, rename="camel"):
    image_tag: str | None = None
    image_digest: str | None = None


class DescribeImages(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    repository_name: str
    registry_id: str | None = None
    image_ids: list[ImageId] = []
    next_token: str | None = None
    max_results: int | None = None
    filter: dict[str, Any] | None = None


class Ecr:
    """Answers for `account`, and for every other registry alike: an image's registry does not matter here."""

    def __init__(self, account: Account, clock: Clock) -> None:
        self._account = account
        self._clock = clock

    async def authorize(self, request: GetAuthorizationToken) -> Output:
        """A token of the right form, which opens no registry: there is none."""
        expires = int(self._clock()) + TOKEN_S
        token = base64.b64encode(f"AWS:{secrets.token_urlsafe(48)}".encode()).decode()
        return {
            "authorizationData": [
                {"authorizationToken": token, "expiresAt": expires, "proxyEndpoint": self._registry(one)}
                for one in request.registry_ids or [self._account.id]
            ]
        }

    async def describe_images(self, request: DescribeImages) -> Output:
        registry, name = request.registry_id or self._account.id, request.repository_name
        tags = [each.image_tag for each in request.image_ids if each.image_tag]
        if not tags:
            raise Invalid(f"Name the tags of {name} that are wanted: this site keeps no list of images.")
        if images.parse(name).persona == "own":
            raise ServiceError(
                "RepositoryNotFoundException",
                f"The repository with name '{name}' does not exist in the registry with id"
                f" '{registry}'; those of TGI and LMI do.",
            )
        if unknown := [tag for tag in tags if not images.parse(f"{name}:{tag}").version]:
            raise ServiceError(
                "ImageNotFoundException",
                f"The image {{imageDigest:'null', imageTag:'{unknown[0]}'}} does not exist within"
                f" the repository with name '{name}' in the registry with id '{registry}'",
            )
        about = {"registryId": registry, "repositoryName": name}
        return {"imageDetails": [{**about, "imageTags": [tag]} for tag in tags]}

    def _registry(self, registry: str) -> str:
        return f"https://{registry}.dkr.ecr.{self._account.region}.amazonaws.com"


def service(account: Account, clock: Clock) -> Service:
    """ECR of `account`; `clock` gives seconds since the epoch."""
    ecr = Ecr(account, clock)
    return Service(
        name="ecr",
        operations={
            "GetAuthorizationToken": Operation(GetAuthorizationToken, ecr.authorize),
            "DescribeImages": Operation(DescribeImages, ecr.describe_images),
        },
        errors={Invalid: "InvalidParameterException", NearstreamError: "ServerException"},
    )
