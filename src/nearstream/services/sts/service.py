"""STS as the front door serves it: who calls, and credentials that hold for some time."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any, Final, Protocol

import msgspec

from nearstream.core.accounts import ROLE, Account
from nearstream.core.errors import Invalid, Missing, NearstreamError, Overloaded, ServiceError
from nearstream.services.service import Caller, CallerOperation, Kept, Output, Refused, Service

DEFAULT_S: Final = 3600
_NAME: Final = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)

JsonObject = dict[str, Any]


class TemporaryKey(Protocol):
    """Credentials that were given out; `expires_at` is in seconds since the epoch."""

    @property
    def access_key(self) -> str: ...
    @property
    def secret_key(self) -> str: ...
    @property
    def token(self) -> str: ...
    @property
    def expires_at(self) -> float: ...


class SessionMaker(Protocol):
    """Gives out credentials that are as good as the key `by`; raises Overloaded."""

    def begin(self, name: str, duration_s: float, *, by: str) -> TemporaryKey: ...


class Nothing(msgspec.Struct, frozen=True):
    """An input without members."""


class AssumeRole(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """AssumeRole's input."""

    role_arn: str
    role_session_name: str
    duration_seconds: int = DEFAULT_S
    policy: Refused[str | None] = None
    policy_arns: Refused[list[JsonObject] | None] = None
    tags: Kept[list[JsonObject] | None] = None
    transitive_tag_keys: Kept[list[str] | None] = None
    external_id: Kept[str | None] = None
    serial_number: Kept[str | None] = None
    token_code: Kept[str | None] = None
    source_identity: Kept[str | None] = None
    provided_contexts: Kept[list[JsonObject] | None] = None
    minimum_session_token_size: Kept[int | None] = None


class SessionToken(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """GetSessionToken's input."""

    duration_seconds: int = 12 * DEFAULT_S
    serial_number: Kept[str | None] = None
    token_code: Kept[str | None] = None
    minimum_session_token_size: Kept[int | None] = None


class Sts:
    """Answers for `account`, whose keys all act in its one role."""

    def __init__(self, account: Account, sessions: SessionMaker) -> None:
        self._account = account
        self._sessions = sessions

    async def caller_identity(self, _: Nothing, caller: Caller) -> Output:
        """GetCallerIdentity: somebody who acts in a role, as the SageMaker SDK expects."""
        session = caller.arn.rpartition("/")[2]
        return {"UserId": f"{role_id(self._account)}:{session}", "Account": caller.account, "Arn": caller.arn}

    async def session_token(self, request: SessionToken, caller: Caller) -> Output:
        """GetSessionToken: the caller's own powers for some time."""
        return {
            "Credentials": self._credentials(caller.arn.rpartition("/")[2], request.duration_seconds, caller)
        }

    async def assume_role(self, request: AssumeRole, caller: Caller) -> Output:
        """AssumeRole, of the site's one role."""
        if request.role_arn != self._account.role_arn:
            raise ServiceError(
                "AccessDenied",
                f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource:"
                f" {request.role_arn}. This site has one role: {self._account.role_arn}",
            )
        if request.policy is not None or request.policy_arns:
            raise Invalid("Policy and PolicyArns cannot be honoured: a site has no policies.")
        name = request.role_session_name
        if not _NAME.fullmatch(name):
            raise Invalid(f"RoleSessionName {name[:80]!r}: 2 to 64 letters, digits and +=,.@_- are wanted.")
        return {
            "Credentials": self._credentials(name, request.duration_seconds, caller),
            "AssumedRoleUser": {
                "AssumedRoleId": f"{role_id(self._account)}:{name}",
                "Arn": self._account.session_arn(name),
            },
        }

    def _credentials(self, name: str, duration_s: int, caller: Caller) -> JsonObject:
        made = self._sessions.begin(name, duration_s, by=caller.access_key)
        return {
            "AccessKeyId": made.access_key,
            "SecretAccessKey": made.secret_key,
            "SessionToken": made.token,
            "Expiration": int(made.expires_at),
        }


def role_id(account: Account) -> str:
    """The unique id of the account's role, the same at each start."""
    digest = hashlib.sha256(f"{account.id}/{ROLE}".encode()).digest()
    return "AROA" + base64.b32encode(digest).decode()[:17]


def service(account: Account, sessions: SessionMaker) -> Service:
    """STS of `account`, which gives out what `sessions` makes."""
    sts = Sts(account, sessions)
    return Service(
        name="sts",
        operations={
            "GetCallerIdentity": CallerOperation(Nothing, sts.caller_identity),
            "GetSessionToken": CallerOperation(SessionToken, sts.session_token),
            "AssumeRole": CallerOperation(AssumeRole, sts.assume_role),
        },
        errors={
            Invalid: "ValidationError",
            Missing: "ValidationError",
            Overloaded: "Throttling",
            NearstreamError: "InternalFailure",
        },
    )
