"""JSON files beside a model's weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from nearstream.core.errors import Unusable


def read_json_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file, {} where there is no such file. Raises Unusable."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        raise Unusable(f"cannot read {path}: {error}") from error
