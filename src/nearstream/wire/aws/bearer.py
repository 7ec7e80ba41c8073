"""SageMaker's bearer tokens, which OpenAI clients send: a presigned call in base64, with a prefix.

A token is `sagemaker-api-key-` and the base64 of
`sagemaker.amazonaws.com/?Action=CallWithBearerToken&X-Amz-…&Version=1`: a POST with an empty body and only
its host signed, good for twelve hours at most. The version is put on after the signing.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final
from urllib.parse import parse_qs

from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.signed_request import RawRequest

PREFIX: Final = "sagemaker-api-key-"
LONGEST_S: Final = 12 * 3600
_ACTION: Final = "CallWithBearerToken"
_VERSION: Final = "&Version=1"
_MAX_TOKEN_CHARS: Final = 8192


def presigned(authorization: str) -> RawRequest:
    """The presigned call inside an Authorization header of `Bearer …`, for a Verifier. Raises AwsError."""
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token.startswith(PREFIX) or len(token) > _MAX_TOKEN_CHARS:
        raise _refused(f"A token that begins with {PREFIX} is wanted.")
    encoded = token.removeprefix(PREFIX)
    try:
        url = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True).decode(
            "ascii"
        )
    except (binascii.Error, ValueError):
        raise _refused("The token is not base64.") from None
    host, slash, query = url.removeprefix("https://").partition("/?")
    given = parse_qs(query)
    if not slash or given.get("Action") != [_ACTION]:
        raise _refused(f"The token holds no call of {_ACTION}.")
    expires = given.get("X-Amz-Expires", [""])[0]
    if not (expires.isascii() and expires.isdigit() and len(expires) < 6 and int(expires) <= LONGEST_S):  # noqa: PLR2004
        raise _refused(f"The token must expire within {LONGEST_S} seconds.")
    return RawRequest("POST", "/", query.removesuffix(_VERSION), (("host", host),), b"")


def _refused(message: str) -> AwsError:
    return AwsError(
        "UnrecognizedClientException",
        f"The security token included in the request is invalid. {message}",
        403,
    )
