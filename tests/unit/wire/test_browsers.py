"""Which calls of browsers are taken, and what CORS wants of their answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearstream.wire.browsers import ANY, PageRules

Headers = tuple[tuple[str, str], ...]
APP = "https://app.example"
RULES = PageRules(origins=(APP, "http://localhost:3000"), hosts=("box", "box.local", ".api.example"))


def call(host: str = "127.0.0.1:8080", **headers: str) -> Headers:
    return (("Host", host), *((name.replace("_", "-"), value) for name, value in headers.items()))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.0.0.1:8080", "10.1.2.3:80", "[::1]:8080", "[fe80::1]", "localhost", "LOCALHOST:1",
        "localhost.", "a.localhost:8040", "box", "Box:80", "box.local", "eu.api.example", "box.", "tgi:80",
    ],
)  # fmt: skip
def test_the_names_of_the_server_are_taken(host: str):
    assert RULES.refusal(call(host)) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "box.evil",
        "api.example", "evil-api.example", "", ":8080", "127.0.0.1@evil.example", "a b",
        "127.0.0.1, evil.example", "[evil.example]", "0x7f.1.evil.example", "::1", "127.0.0.1:x", "box/", ".",
        "2130706433.evil", "ⓛocalhost.evil",
    ],
)  # fmt: skip
def test_other_names_are_not(host: str):
    refusal = RULES.refusal(call(host))
    assert refusal is not None
    assert "--allow-host" in refusal


def test_a_call_with_two_hosts_or_two_origins_is_refused():
    assert RULES.refusal((*call(), ("host", "evil.example")))
    assert RULES.refusal((*call(Origin=APP), ("origin", "http://evil.example")))


def test_a_call_without_a_host_is_of_no_browser():
    assert RULES.refusal(()) is None


def test_any_name_will_do_where_the_operator_says_so():
    assert PageRules(hosts=(ANY,)).refusal(call("any.example")) is None


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("127.0.0.1:8080", {}),
        ("127.0.0.1:8080", {"Origin": "http://127.0.0.1:8080"}),
        ("box", {"Origin": "https://box"}),
        ("box:443", {"Origin": "https://BOX"}),
        ("localhost:80", {"Origin": "http://localhost"}),
        ("127.0.0.1:8080", {"Origin": APP}),
        ("127.0.0.1:8080", {"Origin": APP, "Sec_Fetch_Site": "cross-site"}),
        ("127.0.0.1:8080", {"Sec_Fetch_Site": "same-origin"}),
        ("127.0.0.1:8080", {"Sec_Fetch_Site": "none"}),
    ],
)
def test_own_and_allowed_pages_and_other_programs_are_taken(host: str, headers: dict[str, str]):
    assert RULES.refusal(call(host, **headers)) is None
    assert RULES.managing_refusal(call(host, **headers)) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:8081"},
        {"Origin": "http://localhost:8080"},
        {"Origin": "http://app.example"},
        {"Origin": "https://app.example:444"},
        {"Origin": "https://app.example.evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "file://"},
        {"Origin": "chrome-extension://abc"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "what comes next"},
        {"Origin": "null", "Sec_Fetch_Site": "same-origin"},
    ],
)
def test_other_pages_are_not_and_any_page_manages_nothing(headers: dict[str, str]):
    refusal = RULES.refusal(call(**headers))
    assert refusal is not None
    assert "--cors-allow-origin" in refusal
    anybody = PageRules(origins=(ANY,))
    assert anybody.refusal(call(**headers)) is None
    assert anybody.managing_refusal(call(**headers))


@given(st.text(max_size=40), st.text(max_size=40), st.sampled_from(["", "none", "same-site"]))
def test_whatever_the_headers_say_they_are_judged(host: str, origin: str, site: str):
    headers = (("Host", host), ("Origin", origin), ("Sec-Fetch-Site", site))
    for rules in (RULES, PageRules(), PageRules(origins=(ANY,), hosts=(ANY,))):
        rules.refusal(headers)
        rules.managing_refusal(headers)
        rules.cors(origin)
        assert all(value.isprintable() for value in rules.preflight(headers).values())


def test_an_allowed_origin_is_named_and_may_send_credentials():
    found = RULES.cors(APP)
    assert found["Access-Control-Allow-Origin"] == APP
    assert (found["Access-Control-Allow-Credentials"], found["Vary"]) == ("true", "Origin")
    assert "x-request-id" in found["Access-Control-Expose-Headers"].split(", ")


def test_any_origin_may_not_send_credentials():
    found = PageRules(origins=(ANY, APP)).cors(APP)
    assert found["Access-Control-Allow-Origin"] == ANY
    assert "Access-Control-Allow-Credentials" not in found


def test_an_answer_that_depends_on_the_origin_says_so():
    assert RULES.cors(None) == RULES.cors("http://evil.example") == {"Vary": "Origin"}
    assert PageRules().cors(APP) == {}


def test_a_preflight_allows_the_method_and_any_header_that_is_asked_for():
    wanted = "authorization,content-type,x-amz-date,x-mine"
    found = RULES.preflight(
        call(
            Origin=APP,
            Access_Control_Request_Method="PUT",
            Access_Control_Request_Headers=wanted,
            Access_Control_Request_Private_Network="true",
        )
    )
    assert found == {
        "Access-Control-Allow-Methods": "PUT",
        "Access-Control-Allow-Headers": wanted,
        "Access-Control-Max-Age": "7200",
        "Access-Control-Allow-Private-Network": "true",
    }


@pytest.mark.parametrize("bad", ["a\tb", "x" * 5000, "<script>", "é"])
def test_a_preflight_repeats_nothing_that_is_no_header(bad: str):
    found = RULES.preflight(call(Access_Control_Request_Method=bad, Access_Control_Request_Headers=bad))
    assert bad not in found.values()
