"""IAM as the front door serves it: the site's one role; there are no users and no policies."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

import msgspec

from nearstream.core.accounts import ROLE, Account
from nearstream.core.errors import Invalid, NearstreamError, ServiceError
from nearstream.services.service import Caller, CallerOperation, Operation, Output, Service
from nearstream.services.sts.service import role_id

_TRUST: Final = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sagemaker.amazonaws.com"},'
    '"Action":"sts:AssumeRole"}]}'
)
_CREATED: Final = 1_693_526_400.0
"""When the role was made, in seconds since the epoch: it is there from the start, whenever that is."""

_LONGEST_SESSION_S: Final = 12 * 3600


class GetRole(msgspec.Struct, frozen=True, rename="pascal"):
    role_name: str


class SimulatePrincipalPolicy(msgspec.Struct, frozen=True):
    """Its members are checked against botocore's shape and read by nothing: it is always refused."""


class Iam:
    """Answers for the role of `account`."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def get_role(self, request: GetRole) -> Output:
        if request.role_name != ROLE:
            raise ServiceError(
                "NoSuchEntity", f"The role with name {request.role_name} cannot be found; {ROLE} is there."
            )
        return {"Role": self._role()}

    async def simulate(self, _: SimulatePrincipalPolicy, caller: Caller) -> Output:
        raise ServiceError(
            "AccessDenied",
            f"User: {caller.arn} is not authorized to perform: iam:SimulatePrincipalPolicy on resource:"
            f" {self._account.role_arn}. A site has no policies: each key may do everything.",
        )

    def _role(self) -> dict[str, Any]:
        return {
            "Path": "/",
            "RoleName": ROLE,
            "RoleId": role_id(self._account),
            "Arn": self._account.role_arn,
            "CreateDate": _CREATED,
            "AssumeRolePolicyDocument": quote(_TRUST, safe=""),
            "MaxSessionDuration": _LONGEST_SESSION_S,
        }


def service(account: Account) -> Service:
    """IAM of `account`."""
    iam = Iam(account)
    return Service(
        name="iam",
        operations={
            "GetRole": Operation(GetRole, iam.get_role),
            "SimulatePrincipalPolicy": CallerOperation(SimulatePrincipalPolicy, iam.simulate),
        },
        errors={Invalid: "ValidationError", NearstreamError: "ServiceFailure"},
    )
