"""What a person configured: command line over environment over file, parsed once into frozen values.

This package is the only reader of the environment.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nearstream.core.errors import Unusable
from nearstream.core.restrictions import SWITCHES

DEFAULT_PORT = 8040
# What a replica inherits from the front door's own environment: how to find programs, hubs and proxies, and
# no secret but the hub's token.
INHERITED = (
    "PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_HOME", "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE", "PIP_FIND_LINKS",
)  # fmt: skip

# What boto3 finds the keys of another S3 by.
AWS_KEYS = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CA_BUNDLE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN",
)  # fmt: skip

# An origin as browsers send it, any, or that of a page without one.
ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[^\s/,?#@]+")
_YES, _NO = frozenset({"true", "1", "yes", "all"}), frozenset({"false", "0", "no"})
_SWITCH = re.compile(r"[a-z-]+")
_HOST = re.compile(r"\*|\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


@dataclass(frozen=True, slots=True)
class Settings:
    """How one home is run.

    `aliases` maps a model id that code asks for to the model that runs, in order; "*" stands for any id.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    home: Path = field(default_factory=lambda: Path.home() / ".nearstream")
    model: str = "builtin"
    engine: str = "openvino"
    """What models run on, by its name in the table of engines."""
    aliases: tuple[tuple[str, str], ...] = ()
    region: str = "us-east-1"
    database: str | None = None
    log_level: str = "info"
    s3_url: str | None = None
    """Another S3 that holds the objects; the keys to it are those that boto3 finds. None: the site's own."""
    management_port: int | None = None
    """Where this machine reads metrics and health without a signature. None: nowhere."""
    model_data_gib: int = 256
    """What a model's data may come to, unpacked."""
    cors_allow_origins: tuple[str, ...] = ()
    """Origins whose pages may call; "*": any page, which may then do inference and no more."""
    secure_mode: tuple[str, ...] = ()
    """What is switched off: names of core.restrictions."""
    allow_hosts: tuple[str, ...] = ()
    """Names that a server may be called by, beside its addresses, localhost and this machine's name."""
    tls: bool = False
    """Whether the front door speaks HTTPS. A certificate of one's own turns it on."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    """A certificate with its chain, and its key, in PEM. None: one of the site's own authority."""
    proxy_ports: tuple[int, ...] = (443,)
    """Ports of other hosts that programs of this machine reach through the site's proxy."""

    @property
    def url(self) -> str:
        """Where a client on this machine reaches the front door."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        if self.tls_cert is not None and host in ("127.0.0.1", "::1"):
            host = "localhost"  # the site's own certificate is shown under this name alone
        scheme = "https" if self.tls else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"


_KEYS = (
    "host",
    "port",
    "home",
    "model",
    "engine",
    "aliases",
    "region",
    "database",
    "log_level",
    "s3_url",
    "management_port",
    "model_data_gib",
    "cors_allow_origins",
    "allow_hosts",
    "secure_mode",
    "tls",
    "tls_cert",
    "tls_key",
    "proxy_ports",
)
_WANTED = {
    "tls": "true or false",
    "proxy_ports": "ports from 1 to 65535, with commas between them",
    "port": "a number from 1 to 65535",
    "management_port": "a number from 1 to 65535",
    "aliases": "a table of model ids, or lines like 'tiiuae/falcon-7b-instruct=builtin'",
    "log_level": "debug, info, warning or error",
    "s3_url": "a URL that begins with http:// or https://",
    "model_data_gib": "a whole number above 0",
    "cors_allow_origins": "origins like 'https://app.example', or '*'",
    "secure_mode": f"true, false, or some of {', '.join(SWITCHES)}",
    "allow_hosts": "names like 'api.example', '.example' for all below it, or '*'",
}


def load(flags: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from `flags` (None = not given), then NEARSTREAM_* variables, then the TOML file.

    The file is --config, NEARSTREAM_CONFIG, or nearstream.toml in the home folder if it is there. Raises
    Unusable with the source, the key, what came and what is accepted.
    """
    environ = os.environ if environ is None else environ
    given = {key: (value, "the command line") for key, value in flags.items() if value not in (None, ())}
    for key in _KEYS:
        name = f"NEARSTREAM_{key.upper()}"
        if environ.get(name):
            given.setdefault(key, (environ[name], name))
    for key, value in _from_file(given, environ):
        given.setdefault(key, value)
    given.pop("config", None)
    return _with_tls(Settings(**{key: _parsed(key, value, source) for key, (value, source) in given.items()}))


def _with_tls(settings: Settings) -> Settings:
    if (settings.tls_cert is None) != (settings.tls_key is None):
        missing = "tls_cert" if settings.tls_cert is None else "tls_key"
        raise Unusable(f"{missing} is wanted: a certificate needs its key, and a key its certificate.")
    return replace(settings, tls=settings.tls or settings.tls_cert is not None)


def _from_file(
    given: Mapping[str, tuple[Any, str]], environ: Mapping[str, str]
) -> list[tuple[str, tuple[Any, str]]]:
    named = given.get("config", (environ.get("NEARSTREAM_CONFIG"), ""))[0]
    home = Path(given["home"][0]).expanduser() if "home" in given else Settings().home
    path = Path(named).expanduser() if named else home / "nearstream.toml"
    if not named and not path.exists():
        return []
    try:
        document = tomllib.loads(path.read_text())
    except OSError as error:
        raise Unusable(f"The config file {path} cannot be read: {error.strerror}.") from error
    except tomllib.TOMLDecodeError as error:
        raise Unusable(f"The config file {path} is not valid TOML: {error}.") from error
    for key in document:
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" It may hold: {', '.join(_KEYS)}."
            raise Unusable(f"The config file {path} has an unknown key {key!r}.{hint}")
    return [(key, (value, str(path))) for key, value in document.items()]


def _parsed(key: str, value: Any, source: str) -> Any:  # noqa: ANN401
    try:
        return _PARSERS.get(key, str)(value)
    except (ValueError, TypeError, AttributeError) as error:
        wanted = _WANTED.get(key, "a string")
        raise Unusable(f"{key} from {source}: {value!r} was given, {wanted} is wanted.") from error


def _port(value: int | str) -> int:
    port = int(value)
    if not 1 <= port <= 65535:  # noqa: PLR2004
        raise ValueError
    return port


def _url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError
    return value.rstrip("/")


def _positive(value: int | str) -> int:
    number = int(value)
    if number < 1:
        raise ValueError
    return number


def _ports(value: str | int | list[int | str]) -> tuple[int, ...]:
    parts = value if isinstance(value, list) else [part for part in str(value).split(",") if part.strip()]
    return tuple(_port(part) for part in parts)


def _switch(value: bool | str) -> bool:
    return _choice(str(value).lower(), ("true", "false")) == "true"


def _choice(value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ValueError
    return value


def _switches(value: bool | str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(value, bool) or str(value).lower() in _YES | _NO:
        return SWITCHES if str(value).lower() in _YES else ()
    words = _words(value, _SWITCH)
    if not set(words) <= set(SWITCHES):
        raise ValueError
    return words


def _words(value: str | list[str] | tuple[str, ...], form: re.Pattern[str]) -> tuple[str, ...]:
    words = value.replace(",", " ").split() if isinstance(value, str) else [word.strip() for word in value]
    if not all(form.fullmatch(word) for word in words):
        raise ValueError
    return tuple(words)


def _aliases(value: Mapping[str, str] | str | list[str] | tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    if isinstance(value, Mapping):
        return tuple((str(asked), str(runs)) for asked, runs in value.items())
    lines = [line for line in value.split(",") if line.strip()] if isinstance(value, str) else value
    pairs = [line.split("=", 1) for line in lines]
    if not all(len(pair) == 2 and all(part.strip() for part in pair) for pair in pairs):  # noqa: PLR2004
        raise ValueError
    return tuple((asked.strip(), runs.strip()) for asked, runs in pairs)


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "port": _port,
    "management_port": _port,
    "home": lambda value: Path(value).expanduser().absolute(),
    "aliases": _aliases,
    "log_level": lambda value: _choice(str(value).lower(), ("debug", "info", "warning", "error")),
    "s3_url": _url,
    "model_data_gib": _positive,
    "cors_allow_origins": lambda value: _words(value, ORIGIN),
    "allow_hosts": lambda value: _words(value, _HOST),
    "secure_mode": _switches,
    "tls": _switch,
    "tls_cert": lambda value: Path(value).expanduser().absolute(),
    "tls_key": lambda value: Path(value).expanduser().absolute(),
    "proxy_ports": _ports,
}


def inherited_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The part of this process's environment that a replica starts with."""
    environ = os.environ if environ is None else environ
    return {name: environ[name] for name in INHERITED if name in environ}


def replica_environment(
    settings: Settings,
    home: Path,
    aliases: tuple[tuple[str, str], ...],
    environ: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """What a replica of a site starts with: the inherited part, and the site's settings that it reads itself.

    The keys of another S3 are among it only where the site uses one.
    """
    environ = os.environ if environ is None else environ
    # Names with the marks of this form cannot be handed on in it.
    pairs = [f"{asked}={runs}" for asked, runs in aliases if "," not in asked + runs and "=" not in asked]
    own = {
        "NEARSTREAM_HOME": str(home),
        "NEARSTREAM_ALIASES": ",".join(pairs),
        "NEARSTREAM_ENGINE": settings.engine,
        "NEARSTREAM_S3_URL": settings.s3_url or "",
        "NEARSTREAM_MODEL_DATA_GIB": str(settings.model_data_gib),
        "NEARSTREAM_SECURE_MODE": ",".join(settings.secure_mode),
    }
    keys = {name: environ[name] for name in AWS_KEYS if settings.s3_url and name in environ}
    # A shell that read `nearstream env` before it started the site has the site itself as its proxy.
    inherited = inherited_environment(environ)
    inherited = {name: value for name, value in inherited.items() if value != settings.url}
    return inherited | keys | {name: value for name, value in own.items() if value}


def own_environment() -> Mapping[str, str]:
    """This process's environment, for what reads a container's variables."""
    return os.environ
