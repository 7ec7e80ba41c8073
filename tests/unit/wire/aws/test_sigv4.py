"""Requests that botocore signed, judged by our verifier."""

from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from nearstream.wire.aws import sigv4
from nearstream.wire.aws.credentials import Credential
from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.signed_request import RawRequest
from nearstream.wire.aws.sigv4 import Verifier

KEY = Credential("AKIDLOCAL", "sekrit/+key", "000000000000", "arn:aws:iam::000000000000:user/dev")
TEMPORARY = Credential("ASIALOCAL", "other", "000000000000", session_token="t0ken+/=")
KEYS = {credential.access_key: credential for credential in (KEY, TEMPORARY)}


def signed(
    method="POST",
    url="http://127.0.0.1:8080/",
    *,
    headers=(),
    body=b"",
    service="sagemaker",
    credential=KEY,
    signer=None,
):
    """What a client that signs with botocore puts on the wire, and when it signed that."""
    request = AWSRequest(method=method, url=url, data=body, headers=dict(headers))
    signer = signer or (auth.S3SigV4Auth if service == "s3" else auth.SigV4Auth)
    keys = Credentials(credential.access_key, credential.secret_key, credential.session_token)
    signer(keys, service, "eu-central-1").add_auth(request)
    parts = urlsplit(request.url)
    pairs = [(name, value) for name, value in request.headers.items()]
    if "host" not in {name.lower() for name, _ in pairs}:
        pairs.insert(0, ("Host", parts.netloc))
    stamp = datetime.strptime(request.context["timestamp"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    return RawRequest(method, parts.path, parts.query, pairs, body), stamp


def verify(request, now, **options):
    return Verifier(KEYS.get, **options).verify(request, now=now)


def refusal(request, now, **options):
    with pytest.raises(AwsError) as caught:
        verify(request, now, **options)
    return caught.value


def change(request, name, value):
    """`request` with one header set otherwise; None takes it away."""
    kept = [pair for pair in request.headers if pair[0].lower() != name.lower()]
    return replace(request, headers=kept if value is None else [*kept, (name, value)])


def rewrite(request, old, new):
    """`request` with its Authorization header edited."""
    (authorization,) = [value for name, value in request.headers if name == "Authorization"]
    assert old in authorization
    return change(request, "Authorization", authorization.replace(old, new))


token = st.text("abcXYZ019-._~", min_size=1, max_size=8)
escaped = st.sampled_from(["%20", "%2F", "%C3%A9", "%E2%82%AC", "a", "~", "=", "+", ":", "@", "é", "日"])
segment = st.lists(st.one_of(token, escaped), max_size=4).map("".join)
paths = st.lists(st.one_of(segment, st.sampled_from(["", ".", ".."])), max_size=5).map(
    lambda parts: "/" + "/".join(parts)
)
queries = st.lists(st.tuples(segment, st.sampled_from(["", "="]), segment), max_size=4).map(
    lambda pairs: "&".join("".join(pair) for pair in pairs)
)
header_values = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30)
more_headers = st.dictionaries(st.sampled_from(["X-Amz-Meta", "Content-Type", "X-Custom"]), header_values)


@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    paths,
    queries,
    more_headers,
    st.binary(max_size=60),
    st.sampled_from([("sagemaker", KEY), ("s3", KEY), ("sts", TEMPORARY), ("s3", TEMPORARY)]),
)
def test_what_botocore_signs_is_verified(method, path, query, headers, body, caller):
    service, credential = caller
    request, now = signed(
        method,
        f"http://host.example:8080{path}?{query}",
        headers=headers,
        body=body,
        service=service,
        credential=credential,
    )
    principal = verify(request, now)
    assert (principal.access_key, principal.service) == (credential.access_key, service)
    assert (principal.account, principal.region) == ("000000000000", "eu-central-1")


@given(st.binary(max_size=20), st.binary(max_size=20), st.sampled_from(["sagemaker", "s3"]))
def test_another_body_than_the_signed_one_is_refused(body, other, service):
    if body != other:
        request, now = signed(body=body, service=service)
        assert refusal(replace(request, body=other), now).status in (400, 403)


EDITS = {
    "method": lambda request: replace(request, method="GET"),
    "path": lambda request: replace(request, path="/endpoints/b/invocations"),
    "query": lambda request: replace(request, query="a=1"),
    "header": lambda request: change(request, "Content-Type", "text/plain"),
    "host": lambda request: change(request, "Host", "elsewhere"),
    "signature": lambda request: rewrite(request, "Signature=", "Signature=0"),
    "signature that is no ASCII": lambda request: rewrite(request, "Signature=", "Signature=é"),
    "region": lambda request: rewrite(request, "/eu-central-1/", "/eu-west-1/"),
    "service": lambda request: rewrite(request, "/sagemaker/", "/s3/"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_any_change_to_what_was_signed_is_refused(edit):
    request, now = signed(
        url="http://localhost/endpoints/a/invocations",
        headers={"Content-Type": "application/json"},
        body=b"{}",
    )
    error = refusal(EDITS[edit](request), now)
    assert (error.code, error.status) == ("InvalidSignatureException", 403)
    assert error.message.startswith("The request signature we calculated does not match")


def test_a_request_without_a_signature_is_told_so():
    request, now = signed()
    error = refusal(change(request, "Authorization", None), now)
    assert (error.code, error.status) == ("MissingAuthenticationTokenException", 403)
    assert error.message == "Missing Authentication Token"


def test_an_unknown_key_and_a_wrong_session_token_look_alike():
    stranger, now = signed(credential=Credential("AKIDNOBODY", "x", "1"))
    bare, _ = signed(credential=replace(KEY, session_token="made up"))
    stolen, _ = signed(credential=replace(TEMPORARY, session_token=None))
    for request in (stranger, bare, stolen):
        error = refusal(request, now)
        assert (error.code, error.status) == ("UnrecognizedClientException", 403)
        assert error.message == "The security token included in the request is invalid."


def test_a_credential_past_its_end_is_expired():
    request, now = signed()
    with pytest.raises(AwsError) as caught:
        Verifier(lambda _: replace(KEY, expires_at=now)).verify(request, now=now)
    assert caught.value.code == "ExpiredTokenException"


def test_a_clock_that_is_sixteen_minutes_off_is_told_both_times():
    request, signed_at = signed()
    stamp = dict(request.headers)["X-Amz-Date"]
    late = refusal(request, signed_at + 16 * 60)
    early = refusal(request, signed_at - 16 * 60)
    assert late.code == early.code == "InvalidSignatureException"
    assert late.message.startswith(f"Signature expired: {stamp} is now earlier than ")
    assert late.message.endswith(" - 15 min.)")
    assert early.message.startswith(f"Signature not yet current: {stamp} is still later than ")
    assert early.message.endswith(" + 15 min.)")
    assert verify(request, signed_at + 14 * 60) == verify(request, signed_at - 14 * 60)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Credential=", "Credentials=", "requires 'Credential' parameter."),
        ("SignedHeaders=", "Signed=", "requires 'SignedHeaders' parameter."),
        ("Signature=", "Sig=", "requires 'Signature' parameter."),
        ("AWS4-HMAC-SHA256 ", "AWS4-ECDSA ", "must begin with AWS4-HMAC-SHA256"),
        ("/aws4_request", "", "exactly 5 slash-delimited elements"),
        ("host;", "", "'Host' or ':authority' must be a 'SignedHeader'"),
        ("host;", "host;x-absent;", "'x-absent' is a 'SignedHeader' that the request does not have"),
        ("x-amz-date;x-amz-target", "x-amz-date", "'x-amz-target' must be a 'SignedHeader'"),
    ],
)
def test_an_incomplete_signature_says_what_it_lacks(old, new, message):
    request, now = signed(headers={"X-Amz-Target": "SageMaker.ListModels"})
    error = refusal(rewrite(request, old, new), now)
    assert (error.code, error.status) == ("IncompleteSignatureException", 400)
    assert message in error.message


@pytest.mark.parametrize("date", [None, "yesterday", "20261399T000000Z"])
def test_a_missing_or_odd_date_is_refused(date):
    request, now = signed()
    scope_date = dict(request.headers)["X-Amz-Date"][:8]
    edited = change(request, "X-Amz-Date", date)
    if date:
        edited = rewrite(edited, scope_date, date[:8])
    assert refusal(edited, now).code == "IncompleteSignatureException"


def test_a_signed_header_sent_twice_is_refused():
    request, now = signed()
    twice = replace(request, headers=[*request.headers, ("host", "elsewhere")])
    assert "more than once" in refusal(twice, now).message
    authorization = ("Authorization", dict(request.headers)["Authorization"])
    assert (
        "more than once" in refusal(replace(request, headers=[*request.headers, authorization]), now).message
    )


def test_an_unsigned_header_may_come_twice():
    request, now = signed()
    verify(replace(request, headers=[*request.headers, ("Via", "a"), ("Via", "b")]), now)


def test_the_scope_must_be_ours_and_says_every_difference():
    request, now = signed()
    edited = rewrite(
        rewrite(request, "aws4_request", "aws5_request"), "Credential=AKIDLOCAL/2", "Credential=AKIDLOCAL/1"
    )
    stamp = dict(request.headers)["X-Amz-Date"]
    error = refusal(edited, now, region="us-east-1", services=frozenset({"s3"}))
    assert error.message == (
        "Credential should be scoped to a valid region, not 'eu-central-1'."
        " Credential should be scoped to correct service: 's3'."
        " Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'."
        " Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP:"
        f" '1{stamp[1:8]}' != '{stamp[:8]}', from '{stamp}'."
    )


def test_a_streamed_body_is_signed_by_its_declared_hash():
    request, now = signed("PUT", "http://localhost/bucket//a b", service="s3", body=b"data")
    verify(replace(request, body=None), now)
    bare, now = signed(body=b"data")
    assert "x-amz-content-sha256" in refusal(replace(bare, body=None), now).message


def test_s3_names_a_body_that_is_not_the_declared_one():
    request, now = signed("PUT", "http://localhost/bucket/key", service="s3", body=b"data")
    assert refusal(replace(request, body=b"atad"), now).code == "XAmzContentSHA256Mismatch"


@pytest.mark.parametrize(
    ("service", "signer"), [("sagemaker", auth.SigV4QueryAuth), ("s3", auth.S3SigV4QueryAuth)]
)
def test_presigned_urls_are_verified_until_they_expire(service, signer):
    for credential in (KEY, TEMPORARY):
        request, now = signed(
            "GET",
            "http://localhost/a/b%20c?x=1&y=",
            service=service,
            credential=credential,
            signer=lambda *args: signer(*args, expires=60),
        )
        assert verify(request, now + 59).access_key == credential.access_key
        assert refusal(request, now + 61).message.startswith("Signature expired: ")
        assert refusal(replace(request, path="/other"), now).code == "InvalidSignatureException"
        longer = replace(request, query=request.query.replace("Expires=60", "Expires=61"))
        assert refusal(longer, now).code == "InvalidSignatureException"


@pytest.mark.parametrize("query", ["&X-Amz-Date=20200101T000000Z", "&X-Amz-Signature=00"])
def test_a_presigned_parameter_given_twice_is_refused(query):
    request, now = signed("GET", "http://localhost/", signer=auth.SigV4QueryAuth)
    assert refusal(replace(request, query=request.query + query), now).code == "IncompleteSignatureException"


def test_a_presigned_url_may_not_hold_for_more_than_a_week():
    request, now = signed(
        "GET", "http://localhost/", signer=lambda *args: auth.SigV4QueryAuth(*args, expires=604801)
    )
    assert refusal(request, now).code == "IncompleteSignatureException"


def test_keys_that_are_kept_never_outlive_a_changed_secret():
    secrets = dict(KEYS)
    verifier = Verifier(secrets.get)
    request, now = signed()
    verifier.verify(request, now=now)
    verifier.verify(request, now=now)
    secrets[KEY.access_key] = replace(KEY, secret_key="rotated")
    with pytest.raises(AwsError, match="does not match"):
        verifier.verify(request, now=now)


def test_strangers_cannot_fill_the_table_of_keys():
    verifier = Verifier(KEYS.get)
    request, now = signed()
    for number in range(400):
        with pytest.raises(AwsError):
            verifier.verify(rewrite(request, "eu-central-1", f"region-{number}"), now=now)
    assert not verifier._keys


def test_the_table_of_keys_stays_small(monkeypatch):
    monkeypatch.setattr(sigv4, "_KEYS_KEPT", 2)
    verifier = Verifier(KEYS.get)
    for service in ("sagemaker", "sts", "iam"):
        request, now = signed(service=service)
        verifier.verify(request, now=now)
    assert [service for _, _, _, service in verifier._keys] == ["sts", "iam"]


@pytest.mark.parametrize("declared", ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"])
def test_a_payload_that_is_declared_unsigned_is_taken_at_its_word(declared):
    request, now = signed(headers={"x-amz-content-sha256": declared}, body=b"anything")
    verify(replace(request, body=b"else"), now)
    assert refusal(change(request, "x-amz-content-sha256", "0" * 64), now).code == "InvalidSignatureException"


def test_a_presigned_url_says_what_it_lacks():
    request, now = signed("GET", "http://localhost/", signer=auth.SigV4QueryAuth)
    other = replace(request, query=request.query.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA"))
    assert "X-Amz-Algorithm" in refusal(other, now).message
    lacking = replace(request, query=request.query.replace("X-Amz-Date=", "X-Amz-Dates="))
    assert "must include 'X-Amz-Date'" in refusal(lacking, now).message


def test_no_secret_shows_in_a_repr():
    assert "other" not in repr(TEMPORARY) and "t0ken" not in repr(TEMPORARY)
