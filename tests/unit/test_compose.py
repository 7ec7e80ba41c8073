"""What a model server grants, from what its container asks for and its model holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from nearstream.compose.identities import lookup
from nearstream.compose.site import read_image
from nearstream.config.container import ContainerSettings
from nearstream.core.accounts import Account
from nearstream.core.errors import Unusable
from nearstream.home.keys import Credentials, Keys, new_key
from nearstream.home.sessions import Sessions
from nearstream.replica.tgi.limits import limits
from nearstream.wire.aws.sigv4 import Verifier
from nearstream.wire.dialects.hf.terms import Release, tgi_release

TGI = "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-tgi-inference:2.0.1-tgi0.9.3-gpu"
LMI = "763104351884.dkr.ecr.us-east-1.amazonaws.com/djl-inference:0.23.0-deepspeed0.9.5-cu118"


def test_nothing_asked_for_is_all_that_fits() -> None:
    granted = limits(ContainerSettings(), Release(), 2048)
    assert (granted.max_input_tokens, granted.max_total_tokens) == (2047, 2048)


@pytest.mark.parametrize(
    ("version", "context", "granted"),
    [("0.9.3", 4096, (1024, 2048)), ("1.0.3", 1000, (999, 1000)), ("1.4.0", 4096, (4095, 4096))],
)
def test_early_releases_grant_less_unasked(version: str, context: int, granted: tuple[int, int]) -> None:
    found = limits(ContainerSettings(), tgi_release(version), context)
    assert (found.max_input_tokens, found.max_total_tokens) == granted


def test_what_is_asked_for_is_granted_where_it_fits() -> None:
    granted = limits(ContainerSettings(max_input_tokens=1900, max_total_tokens=2000), Release(), 2048)
    assert (granted.max_input_tokens, granted.max_total_tokens) == (1900, 2000)


def test_more_than_fits_is_lowered() -> None:
    granted = limits(ContainerSettings(max_input_tokens=3000, max_total_tokens=4096), Release(), 2048)
    assert (granted.max_input_tokens, granted.max_total_tokens) == (2047, 2048)


def test_an_input_that_leaves_no_room_is_refused_in_the_launchers_words() -> None:
    with pytest.raises(Unusable, match=r"`max_input_tokens`\(200\) must be < `max_total_tokens`\(100\)"):
        limits(ContainerSettings(max_input_tokens=200, max_total_tokens=100), Release(), 2048)


def test_an_image_says_which_server_and_version() -> None:
    assert read_image(TGI) == ("tgi", "0.9.3")
    assert read_image(LMI) == ("lmi", "0.23.0")


def test_a_session_ends_with_the_key_that_it_was_made_with(tmp_path: Path) -> None:
    own = Credentials("123456789012", "us-east-1", "AKIATEST", "very-secret")
    keys, sessions = Keys(own, tmp_path / "keys.json", lambda: next(times)), Sessions(None, lambda: 0.0)
    times = iter(range(0, 100, 10))
    find = lookup(keys, sessions, Account(own.account, own.region))
    added = new_key("laptop")
    keys.add(added)
    made = sessions.begin("bob", 900, by=added.access_key)
    assert find(made.access_key).arn == "arn:aws:sts::123456789012:assumed-role/sagemaker_execution_role/bob"
    keys.remove("laptop")
    assert find(made.access_key) is None


def test_the_verifiers_text_shows_no_secret(tmp_path: Path) -> None:
    keys = Credentials("123456789012", "us-east-1", "AKIATEST", "very-secret")
    account = Account(keys.account, keys.region)
    sessions = Sessions(None, lambda: 0.0)
    found = lookup(Keys(keys, tmp_path / "keys.json"), sessions, account)
    assert "very-secret" not in repr(keys) + repr(vars(Verifier(found))) + repr(found("AKIATEST"))
