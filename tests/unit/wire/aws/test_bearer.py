"""Bearer tokens made as AWS's token generator makes them, with botocore's signer."""

import base64
from datetime import UTC, datetime

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from nearstream.wire.aws import bearer
from nearstream.wire.aws.credentials import Credential
from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.sigv4 import Verifier

KEY = Credential("AKIDLOCAL", "sekrit", "000000000000")


def token(*, action="CallWithBearerToken", expires=3600, secret=KEY.secret_key):
    """A token and when it was signed."""
    url = f"https://sagemaker.amazonaws.com/?Action={action}"
    request = AWSRequest("POST", url, headers={"host": "sagemaker.amazonaws.com"})
    credentials = Credentials(KEY.access_key, secret)
    SigV4QueryAuth(credentials, "sagemaker", "eu-central-1", expires=expires).add_auth(request)
    stamp = datetime.strptime(request.context["timestamp"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    presigned = request.url.removeprefix("https://") + "&Version=1"
    return bearer.PREFIX + base64.b64encode(presigned.encode()).decode(), stamp


def verify(text, now):
    verifier = Verifier(lambda access_key: KEY if access_key == KEY.access_key else None)
    return verifier.verify(bearer.presigned(f"Bearer {text}"), now=now)


def test_a_token_proves_its_sender_until_it_expires():
    text, now = token()
    assert verify(text, now + 3599).access_key == KEY.access_key
    with pytest.raises(AwsError, match="Signature expired"):
        verify(text, now + 3601)


def test_a_token_of_another_secret_is_refused():
    text, now = token(secret="stolen")
    with pytest.raises(AwsError, match="does not match"):
        verify(text, now)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sk-openai",
        bearer.PREFIX + "!!!",
        bearer.PREFIX + base64.b64encode(b"sagemaker.amazonaws.com/").decode(),
        bearer.PREFIX + "A" * 9000,
        token(action="DeleteEndpoint")[0],
        token(expires=12 * 3600 + 1)[0],
    ],
    ids=["empty", "foreign", "not base64", "no call", "too long", "another action", "too lasting"],
)
def test_what_is_no_token_is_refused(text):
    with pytest.raises(AwsError) as caught:
        bearer.presigned(f"Bearer {text}")
    assert (caught.value.code, caught.value.status) == ("UnrecognizedClientException", 403)
