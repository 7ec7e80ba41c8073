"""The file of authorities that clients of a site trust: the site's own, and those of its machine."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from nearstream.core.errors import Unusable
from nearstream.home.private import write_private

_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def write_bundle(file: Path, own: bytes, others: Iterable[Path]) -> None:
    """Write the certificate `own` and every one in `others` to `file`, each once. Raises Unusable."""
    found = _CERTIFICATE.findall(own)
    for path in others:
        if path != file:
            found += _CERTIFICATE.findall(_read(path))
    data = b"".join(block + b"\n" for block in dict.fromkeys(found))
    if not file.exists() or _read(file) != data:
        write_private(file, data)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unusable(f"The certificates in {path} cannot be read: {error.strerror}.") from error
