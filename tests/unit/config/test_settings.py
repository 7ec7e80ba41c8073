"""Where a setting comes from, and what a wrong one says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nearstream.config.container import container_settings
from nearstream.config.settings import Settings, inherited_environment, load, replica_environment
from nearstream.core.errors import Unusable


def test_a_flag_beats_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    (tmp_path / "nearstream.toml").write_text('port = 1111\nhost = "10.0.0.1"\nregion = "eu-west-1"\n')
    environ = {"NEARSTREAM_PORT": "2222", "NEARSTREAM_HOST": "10.0.0.2"}
    settings = load({"port": 3333, "home": tmp_path}, environ)
    assert (settings.port, settings.host, settings.region) == (3333, "10.0.0.2", "eu-west-1")


def test_nothing_given_is_the_defaults(tmp_path: Path) -> None:
    assert load({"home": tmp_path}, {}) == Settings(home=tmp_path)


def test_aliases_come_from_flags_variables_and_tables(tmp_path: Path) -> None:
    expected = (("tiiuae/falcon-7b-instruct", "builtin"), ("*", "/models/m"))
    flags = ("tiiuae/falcon-7b-instruct=builtin", "*=/models/m")
    assert load({"home": tmp_path, "aliases": flags}, {}).aliases == expected
    assert load({"home": tmp_path}, {"NEARSTREAM_ALIASES": ",".join(flags)}).aliases == expected
    file = tmp_path / "site.toml"
    file.write_text('[aliases]\n"tiiuae/falcon-7b-instruct" = "builtin"\n"*" = "/models/m"\n')
    assert load({"home": tmp_path, "config": file}, {}).aliases == expected


@pytest.mark.parametrize(
    ("flags", "environ", "said"),
    [
        ({"port": 70000}, {}, "port from the command line: 70000 was given, a number from 1 to 65535"),
        ({}, {"NEARSTREAM_PORT": "http"}, "port from NEARSTREAM_PORT: 'http' was given"),
        ({"aliases": ("falcon",)}, {}, "lines like"),
        ({}, {"NEARSTREAM_LOG_LEVEL": "loud"}, "debug, info, warning or error"),
        ({"config": "/no/such/file.toml"}, {}, "cannot be read"),
    ],
)
def test_a_wrong_value_says_where_it_came_from_and_what_is_wanted(
    tmp_path: Path, flags: dict[str, object], environ: dict[str, str], said: str
) -> None:
    with pytest.raises(Unusable, match=said):
        load({"home": tmp_path} | flags, environ)


@pytest.mark.parametrize(
    ("text", "said"),
    [("prot = 1", "Did you mean 'port'"), ("zzz = 1", "It may hold"), ("port = ", "is not valid TOML")],
)
def test_a_wrong_file_names_the_key_or_the_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "nearstream.toml").write_text(text)
    with pytest.raises(Unusable, match=said):
        load({"home": tmp_path}, {})


def test_the_address_that_a_client_uses_is_one_that_it_can_reach() -> None:
    assert Settings(host="0.0.0.0", port=1).url == "http://127.0.0.1:1"
    assert Settings(host="::", port=1).url == "http://[::1]:1"


def test_a_replica_inherits_no_aws_keys() -> None:
    environ = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x", "HF_TOKEN": "t"}
    assert inherited_environment(environ) == {"PATH": "/bin", "HF_TOKEN": "t"}


def test_a_containers_numbers_may_come_with_their_json_quotes() -> None:
    settings = container_settings({"MAX_TOTAL_TOKENS": '"2048"', "MAX_INPUT_LENGTH": "1900"})
    assert (settings.max_total_tokens, settings.max_input_tokens) == (2048, 1900)


def test_the_machine_is_called_what_compute_type_says() -> None:
    assert container_settings({"COMPUTE_TYPE": "edge-box"}).compute_type == "edge-box"
    assert container_settings({}).compute_type == "cpu"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"MAX_TOTAL_TOKENS": "many"}, "MAX_TOTAL_TOKENS is 'many'"),
        ({"MAX_INPUT_LENGTH": "1", "MAX_INPUT_TOKENS": "1"}, "are set. Please define only"),
    ],
)
def test_a_containers_wrong_value_names_its_variable(environ: dict[str, str], said: str) -> None:
    with pytest.raises(Unusable, match=said):
        container_settings(environ)


def test_another_s3_is_named_by_its_url(tmp_path: Path) -> None:
    assert (
        load({"home": tmp_path}, {"NEARSTREAM_S3_URL": "https://s3.example.com/"}).s3_url
        == "https://s3.example.com"
    )
    with pytest.raises(Unusable, match="begins with http"):
        load({"home": tmp_path}, {"NEARSTREAM_S3_URL": "s3.example.com"})
    with pytest.raises(Unusable, match="a whole number above 0"):
        load({"home": tmp_path}, {"NEARSTREAM_MODEL_DATA_GIB": "0"})


def test_a_replica_reads_the_sites_settings_as_the_site_did(tmp_path: Path) -> None:
    aliases = (("meta-llama/*", "/models/small"), ("*", "builtin"), ("odd,name", "x"))
    site = Settings(home=tmp_path, model_data_gib=3)
    environ = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "secret"}
    handed = replica_environment(site, tmp_path, aliases, environ)
    read = load({}, handed)
    assert (read.home, read.aliases, read.model_data_gib) == (tmp_path, aliases[:2], 3)
    assert read.s3_url is None and "AWS_SECRET_ACCESS_KEY" not in handed
    elsewhere = replica_environment(replace(site, s3_url="http://s3"), tmp_path, (), environ)
    assert load({}, elsewhere).s3_url == "http://s3" and elsewhere["AWS_SECRET_ACCESS_KEY"] == "secret"


def test_there_is_a_management_port_only_where_it_is_named(tmp_path: Path) -> None:
    assert load({"home": tmp_path}, {}).management_port is None
    assert load({"home": tmp_path}, {"NEARSTREAM_MANAGEMENT_PORT": "8041"}).management_port == 8041
    with pytest.raises(Unusable, match="a number from 1 to 65535"):
        load({"home": tmp_path, "management_port": 0}, {})


def test_a_certificate_turns_tls_on_and_needs_its_key(tmp_path: Path) -> None:
    given = {"home": tmp_path, "tls_cert": tmp_path / "cert.pem"}
    with pytest.raises(Unusable, match="tls_key is wanted"):
        load(given, {})
    read = load({**given, "tls_key": tmp_path / "key.pem"}, {})
    assert (read.tls, read.url) == (True, "https://localhost:8040")
    assert load({"home": tmp_path}, {"NEARSTREAM_TLS": "true"}).url == "https://127.0.0.1:8040"
    assert load({"home": tmp_path}, {"NEARSTREAM_PROXY_PORTS": "443, 8443"}).proxy_ports == (443, 8443)


@pytest.mark.parametrize(
    ("name", "value"), [("TLS", "maybe"), ("PROXY_PORTS", "443,x"), ("PROXY_PORTS", "70000")]
)
def test_a_wrong_way_in_names_its_variable(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(Unusable, match=f"NEARSTREAM_{name}"):
        load({"home": tmp_path}, {f"NEARSTREAM_{name}": value})


def test_a_replica_does_not_go_through_the_site_that_its_shell_has_as_its_proxy(tmp_path: Path) -> None:
    read = load({"home": tmp_path}, {})
    environ = {"HTTPS_PROXY": read.url, "https_proxy": read.url, "HTTP_PROXY": "http://other:1"}
    made = replica_environment(read, tmp_path, (), environ)
    assert {name: made[name] for name in made if "PROXY" in name.upper()} == {"HTTP_PROXY": "http://other:1"}
