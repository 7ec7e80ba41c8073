"""The environment of a replica: what a deployer may set in CreateModel, over what the site hands down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

DEFAULT_HUB: Final = "https://huggingface.co"
OWN_PREFIX: Final = "NEARSTREAM_"
CONTAINER_VARIABLES: Final = "NEARSTREAM_CONTAINER_VARIABLES"
"""Names of those variables of a replica that are its container's, with commas between."""
WITHHELD_VARIABLES: Final = "NEARSTREAM_WITHHELD_VARIABLES"
"""Names of variables that its container sets and that do not count, with commas between."""

_TOKENS: Final = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_NO_TOKEN: Final = {"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}
_PORTS: Final = {"http": 80, "https": 443}

# What a container may not set, in any case, and why. A name that ends with * is a prefix.
WITHHELD: Final[Mapping[str, tuple[str, ...]]] = {
    "it is a setting of the site": (f"{OWN_PREFIX}*",),
    "it can run code in the server": (
        "LD_*", "DYLD_*", "PYTHON*", "PATH", "BASH_ENV", "BASH_FUNC*", "SHELLOPTS", "BASHOPTS", "PS4", "IFS",
        "PROMPT_COMMAND", "PERL*", "RUBY*", "NODE_*", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS",
        "JDK_JAVA_OPTIONS", "GIT_*", "EDITOR", "VISUAL", "PAGER", "BROWSER", "CC", "CXX", "CPP", "AR",
        "RUSTC*", "CARGO*", "MAKE*", "CMAKE_*", "PKG_CONFIG*", "PIP_*", "UV_*", "VIRTUAL_ENV", "CONDA_*",
        "PYENV_*", "GCONV_PATH", "GLIBC_TUNABLES", "OPENSSL_*", "OMP_TOOL*", "CUDA_INJECTION*",
        "NVTX_INJECTION*", "OTEL_PYTHON_*", "VLLM_PLUGINS", "RAY_*", "TORCH_DEVICE_BACKEND_AUTOLOAD",
        "TORCH_EXTENSIONS_DIR", "OPENVINO_*", "OV_*", "COVERAGE_*", "COV_CORE_*", "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE", "AWS_DEFAULT_PROFILE",
    ),
    "it moves files of the server": (
        "HOME", "TMPDIR", "TMP", "TEMP", "TEMPDIR", "XDG_*", "HF_HOME", "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE", "HF_ASSETS_CACHE", "HF_XET_CACHE", "HF_TOKEN_PATH", "HF_STORED_TOKENS_PATH",
        "HUGGINGFACE_ASSETS_CACHE", "NETRC", "LOCPATH", "NLSPATH", "TZDIR", "TERMINFO*", "MALLOC_TRACE",
        "MALLOC_CONF", "DNNL_JIT_*", "ONEDNN_JIT_*", "SSLKEYLOGFILE",
    ),
    "it redirects connections of the server": (
        "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL*", "AWS_CONTAINER_*",
        "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_EC2_METADATA_*",
        "HUGGINGFACE_CO_STAGING", "HOSTALIASES", "LOCALDOMAIN", "RES_OPTIONS", "RESOLV_*",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReplicaEnvironment:
    """`variables` are all that a replica starts with; `withheld`: names that its container set in vain."""

    variables: Mapping[str, str]
    withheld: tuple[str, ...]


def replica_variables(inherited: Mapping[str, str], container: Mapping[str, str]) -> ReplicaEnvironment:
    """What the site hands down, and over it what the container may set.

    The site's hub token is handed down for its own hub alone: not where the container names another one, or
    brings a token itself.
    """
    taken = {name: value for name, value in container.items() if not reason_to_withhold(name)}
    withheld = tuple(sorted(container.keys() - taken.keys()))
    brings_token = any(taken.get(name) for name in _TOKENS)
    same_hub = _hub(inherited) == _hub({**inherited, **taken})
    kept = inherited if same_hub and not brings_token else without_tokens(inherited)
    own: dict[str, str] = {CONTAINER_VARIABLES: ",".join(sorted(taken))}
    if withheld:
        own[WITHHELD_VARIABLES] = ",".join(withheld)
    # A token may lie in a file, too, where the hub's library finds it.
    no_token = {} if same_hub or brings_token else _NO_TOKEN
    return ReplicaEnvironment({**kept, **taken, **no_token, **own}, withheld)


def reason_to_withhold(name: str) -> str | None:
    """Why a container may not set a variable; None: it may."""
    upper = name.upper()
    for reason, names in WITHHELD.items():
        if upper in names or upper.startswith(_PREFIXES[reason]):
            return reason
    return None


def without_tokens(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables without those of a hub's token."""
    return {name: value for name, value in environ.items() if name not in _TOKENS}


def handler_variables(environ: Mapping[str, str], *, secrets: tuple[str, ...]) -> dict[str, str]:
    """What a user's code may see of a server's environment: its container's variables, no secret of the site.

    Of a server that runs for itself the environment is the container; `secrets` name what it keeps to itself.
    """
    named = environ.get(CONTAINER_VARIABLES)
    of_container = frozenset() if named is None else frozenset(named.split(","))
    site = () if named is None else (*_TOKENS, "HF_HOME", "PIP_*")
    return {
        name: value
        for name, value in environ.items()
        if name in of_container or not (_is_one_of(name, (f"{OWN_PREFIX}*", "API_KEY", *secrets, *site)))
    }


def _is_one_of(name: str, names: tuple[str, ...]) -> bool:
    return any(name.startswith(each[:-1]) if each.endswith("*") else name == each for each in names)


def _hub(environ: Mapping[str, str]) -> tuple[str, str, int | None]:
    """Scheme, host and port."""
    url = urlsplit((environ.get("HF_ENDPOINT") or DEFAULT_HUB).strip().lower())
    try:
        return url.scheme, url.hostname or "", url.port or _PORTS.get(url.scheme)
    except ValueError:  # no such port
        return "", "", None


_PREFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    reason: tuple(name[:-1] for name in names if name.endswith("*")) for reason, names in WITHHELD.items()
}
