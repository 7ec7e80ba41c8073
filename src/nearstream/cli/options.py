"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from nearstream.config.settings import Settings, load
from nearstream.home.paths import Home

HomeOption = Annotated[Path | None, Parameter(help="Home folder of the site (default: ~/.nearstream).")]
ConfigOption = Annotated[Path | None, Parameter(help="TOML file (default: nearstream.toml in the home).")]
JsonOption = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON, for scripts.")]
CorsOption = Annotated[
    tuple[str, ...],
    Parameter(negative=(), help="Origin whose pages may call, * for any page; repeatable (default: none)."),
]
AllowHostOption = Annotated[
    tuple[str, ...],
    Parameter(negative=(), help="Another name that the server is called by; repeatable."),
]
SecureOption = Annotated[
    bool,
    Parameter(negative=(), help="Run no code, template or pickle of a model, and fetch from no hub."),
]
EndpointArgument = Annotated[str, Parameter(help="Name of the endpoint.")]


def site(home: Path | None, config: Path | None = None) -> tuple[Settings, Home]:
    """Settings and home of the site that a command speaks to."""
    settings = load({"home": home, "config": config})
    return settings, Home(settings.home)
