"""A log file of bounded size: full, it becomes `.1` beside it, and an empty one takes its place."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

LIMIT_BYTES: Final = 16 * 1024 * 1024


class LogFile(io.TextIOBase):
    """A text stream that appends to `path`; a write is one line or more, never cut by a rotation."""

    def __init__(self, path: Path, *, limit_bytes: int = LIMIT_BYTES) -> None:
        """Raises OSError when the file cannot be opened."""
        self._path = path
        self._limit_bytes = limit_bytes
        self._file = path.open("ab", buffering=0)
        self._size_bytes = self._file.tell()

    def write(self, text: str) -> int:
        line = text.encode(errors="backslashreplace")
        if self._size_bytes and self._size_bytes + len(line) > self._limit_bytes:
            self._rotate()
        self._file.write(line)
        self._size_bytes += len(line)
        return len(text)

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def _rotate(self) -> None:
        """Without a descriptor for the new file, the old one goes on."""
        try:
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            fresh = self._path.open("ab", buffering=0)
        except OSError:
            self._size_bytes = 0
            return
        self._file.close()
        self._file, self._size_bytes = fresh, 0
