"""`nearstream env`: the variables that point AWS code at this site, for `eval`."""

from __future__ import annotations

import json as jsonlib
import shlex

from nearstream.cli.options import ConfigOption, HomeOption, JsonOption, site


def env(*, home: HomeOption = None, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Print `export` lines with keys, region and address: eval "$(nearstream env)"."""
    settings, place = site(home, config)
    credentials = place.credentials()
    running = place.running()
    variables = {
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_REGION": credentials.region,
        "AWS_DEFAULT_REGION": credentials.region,
        "AWS_ENDPOINT_URL": running.url if running else settings.url,
    }
    if json:
        print(jsonlib.dumps(variables, indent=2))
        return
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")
    # A session token left over from another account would be sent along, and refused.
    print("unset AWS_SESSION_TOKEN AWS_PROFILE")
