"""`nearstream env`: the variables that point AWS code at this site, for `eval`."""

from __future__ import annotations

import json as jsonlib
import shlex
from typing import Annotated, Final
from urllib.parse import urlsplit

from cyclopts import Parameter

from nearstream.cli.options import ConfigOption, HomeOption, JsonOption, site
from nearstream.config import proxies
from nearstream.home.authority import AWS_DOMAINS, read_certificate
from nearstream.home.paths import Home
from nearstream.home.trust import write_bundle

LOCAL: Final = ("localhost", "127.0.0.1", "::1")


def env(
    *,
    direct: Annotated[
        bool, Parameter(negative=(), help="Leave the proxy for AWS's own names out: endpoint URLs alone.")
    ] = False,
    home: HomeOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Print `export` lines with keys, region, address, proxy and certificates: eval "$(nearstream env)"."""
    settings, place = site(home, config)
    credentials = place.credentials()
    running = place.running()
    url = running.url if running else settings.url
    variables = {
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_REGION": credentials.region,
        "AWS_DEFAULT_REGION": credentials.region,
        "AWS_ENDPOINT_URL": url,
        **_way_in(place, url, direct=direct),
    }
    if json:
        print(jsonlib.dumps(variables, indent=2))
        return
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")
    # A session token left over from another account would be sent along, and refused.
    print("unset AWS_SESSION_TOKEN AWS_PROFILE")
    if direct and (machine := proxies.read()) is not None and machine.url == url:
        print("unset HTTPS_PROXY https_proxy")


def _way_in(place: Home, url: str, *, direct: bool) -> dict[str, str]:
    """The proxy for AWS's own names, and the authorities to trust."""
    own = read_certificate(place.authority_file)
    if own is None or (direct and not url.startswith("https:")):
        return {}
    write_bundle(place.bundle_file, own, proxies.trusted_files())
    trust = dict.fromkeys(proxies.TRUST, str(place.bundle_file))
    if direct:
        return trust
    around = ",".join(dict.fromkeys([*LOCAL, urlsplit(url).hostname or "", *_kept_no_proxy()]))
    # Programs read the one or the other; most take the lower-case one where both are set.
    names = {"HTTPS_PROXY": url, "https_proxy": url, "NO_PROXY": around, "no_proxy": around}
    return trust | names


def _kept_no_proxy() -> list[str]:
    """What NO_PROXY names already, without that which would lead AWS's names past the proxy."""
    domains = tuple(f".{domain}" for domain in AWS_DOMAINS)
    return [
        each for each in proxies.no_proxy() if each != "*" and not f".{each.lstrip('*.')}".endswith(domains)
    ]
