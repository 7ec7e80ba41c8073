"""Bodies read and answers written by their Content-Type."""

from __future__ import annotations

import csv
import io
from typing import Any

from . import optional
from .inputs import Input
from .outputs import CONTENT_TYPE, Output

_HEADERS = ("question", "context", "inputs")


def decode(
    inputs: Input, content_type: str | None, key: str | None = None, require_csv_headers: bool = True
) -> Any:
    """The content of `inputs`: a document for JSON, an array for plain CSV, otherwise `{"inputs": …}`."""
    media = (content_type or "").lower()
    if not media and not inputs.get_as_bytes(key=key):
        return {"inputs": ""}
    if not media or "application/json" in media:
        return inputs.get_as_json(key=key)
    if "text/csv" in media:
        return decode_csv(inputs, require_headers=require_csv_headers)
    return {"inputs": _valued(inputs, media, key)}


def encode(outputs: Output, prediction: Any, content_type: str | None, key: str | None = None) -> None:
    """Add `prediction` to `outputs` as `content_type`: JSON, CSV, npz, or else an NDList."""
    media = (content_type or "").lower()
    if not media or "application/json" in media:
        outputs.add_as_json(prediction, key=key)
        outputs.add_property(CONTENT_TYPE, "application/json")
    elif "text/csv" in media:
        outputs.add_as_string(encode_csv(prediction), key=key)
        outputs.add_property(CONTENT_TYPE, "text/csv")
    elif "tensor/npz" in media:
        outputs.add_as_npz(prediction, key=key)
        outputs.add_property(CONTENT_TYPE, "tensor/npz")
    else:
        outputs.add_as_numpy(prediction, key=key)
        outputs.add_property(CONTENT_TYPE, "tensor/ndlist")


def decode_csv(inputs: Input, require_headers: bool = True) -> Any:
    """Rows under their headers, `inputs` alone where it is one; without headers an array of numbers."""
    text = inputs.get_as_string()
    if not require_headers:
        return _numbers(text)
    first = text.splitlines()[0].lower() if text.strip() else ""
    if not any(header in first for header in _HEADERS):
        raise ValueError(
            f"a correct CSV with Header columns is wanted, one of them {' or '.join(_HEADERS)}; "
            f"it begins {first!r}"
        )
    rows = list(csv.DictReader(io.StringIO(text)))
    if rows and "inputs" in rows[0]:
        return {"inputs": [row["inputs"] for row in rows]}
    return {"inputs": rows}


def encode_csv(content: Any) -> str:
    """Rows, each a dict with the keys of the first, as a CSV table with a header."""
    rows: list[dict[str, Any]] = list(content)
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]) if rows else [])
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _numbers(text: str) -> Any:
    np = optional.numpy()
    found = np.genfromtxt(io.StringIO(text), delimiter=",")
    if np.isnan(found).any():
        raise ValueError("the CSV without headers has a value that is no number")
    return found


def _valued(inputs: Input, media: str, key: str | None) -> Any:
    if "text/plain" in media:
        return [inputs.get_as_string(key=key)]
    readers = {
        "image/": inputs.get_as_image,
        "tensor/npz": inputs.get_as_npz,
        "tensor/ndlist": inputs.get_as_numpy,
        "application/x-npy": inputs.get_as_numpy,
        "application/x-www-form-urlencoded": inputs.get_as_string,
    }
    return next((read for start, read in readers.items() if media.startswith(start)), inputs.get_as_bytes)(
        key=key
    )
