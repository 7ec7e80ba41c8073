"""Reads the coding `aws-chunked`: chunks with their signatures, a final chunk, a trailer.

Follows the S3 API Reference, "Signature Calculations for the Authorization Header: Transferring Payload in
Multiple Chunks" and "… with trailing headers". Bytes are given away as they come; `finish` says whether all
of it was proven, so who keeps them keeps them aside until then.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Final

from nearstream.wire.aws import canonical
from nearstream.wire.aws.errors import AwsError

_HEAD: Final = re.compile(rb"([0-9a-fA-F]{1,16})(?:;chunk-signature=([0-9a-f]{64}))?")
_TRAILER: Final = re.compile(rb"([A-Za-z0-9-]{1,80}):[ \t]*([\x21-\x7e]{0,1024})[ \t]*")
_LONGEST_LINE: Final = 2048
_MOST_TRAILERS: Final = 8
_NOTHING: Final = canonical.sha256(b"")


class ChunkSigner:
    """The chain of signatures that begins with the one in the request's head."""

    def __init__(self, key: bytes, *, timestamp: str, scope: str, seed: str) -> None:
        self._key = key
        self._where = f"{timestamp}\n{scope}"
        self._last = seed

    def check_chunk(self, signature: str, digest: str) -> None:
        """Raises AwsError unless the next chunk, of that SHA-256, has that signature."""
        self._check(signature, f"AWS4-HMAC-SHA256-PAYLOAD\n{self._where}\n{self._last}\n{_NOTHING}\n{digest}")

    def check_trailer(self, signature: str, trailer: bytes) -> None:
        """Raises AwsError unless the trailer, in canonical form, has that signature."""
        digest = canonical.sha256(trailer)
        self._check(signature, f"AWS4-HMAC-SHA256-TRAILER\n{self._where}\n{self._last}\n{digest}")

    def _check(self, signature: str, string_to_sign: str) -> None:
        expected = hmac.digest(self._key, string_to_sign.encode(), "sha256").hex()
        if not hmac.compare_digest(expected, signature):
            raise AwsError(
                "SignatureDoesNotMatch",
                "The signature of a chunk of the body does not match the one that was calculated.",
                403,
            )
        self._last = expected


class ChunkReader:
    """`signer` None: the chunks are not signed. `trailed`: headers follow the final chunk."""

    def __init__(self, signer: ChunkSigner | None, *, trailed: bool) -> None:
        self.trailer: dict[str, str] = {}
        self._signer = signer
        self._trailed = trailed
        self._buffer = bytearray()
        self._left = 0
        self._after_data = False
        self._signature = ""
        self._hash = hashlib.sha256()
        self._state = "head"

    def feed(self, data: bytes) -> bytes:
        """The payload in `data`. Raises AwsError for what is not the coding, or has a wrong signature."""
        self._buffer += data
        found: list[bytes] = []
        while self._step(found):
            pass
        return b"".join(found)

    def finish(self) -> Mapping[str, str]:
        """The trailer. Raises AwsError when the body ended before its final chunk and trailer."""
        if self._state == "trailer" and not self._buffer:
            self._end_trailer()  # some clients leave out the last empty line
        if self._state != "end":
            message = "The request body terminated unexpectedly: its final chunk did not come."
            raise AwsError("IncompleteBody", message)
        return self.trailer

    def _step(self, found: list[bytes]) -> bool:
        """Takes the next thing off the buffer; False when more bytes are needed."""
        if self._state == "data":
            return self._data(found)
        if self._state == "end":
            if self._buffer:
                raise _malformed("bytes follow its end")
            return False
        line = self._line()
        if line is None:
            return False
        if self._state == "head":
            self._head(line)
        else:
            self._trailer_line(line)
        return True

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n", 0, _LONGEST_LINE)
        if end < 0:
            if len(self._buffer) >= _LONGEST_LINE:
                raise _malformed("a line of its framing is longer than 2048 bytes")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _head(self, line: bytes) -> None:
        if self._after_data:
            if line:
                raise _malformed("a chunk is longer than it says")
            self._after_data = False
            return
        head = _HEAD.fullmatch(line)
        if head is None or (head[2] is None) != (self._signer is None):
            raise _malformed("a chunk's size or signature is not valid")
        self._left, self._signature = int(head[1], 16), (head[2] or b"").decode()
        if self._left:
            self._state = "data"
        else:
            self._prove()
            self._state = "trailer"

    def _data(self, found: list[bytes]) -> bool:
        if not self._buffer:
            return False
        piece = bytes(self._buffer[: self._left])
        del self._buffer[: self._left]
        self._left -= len(piece)
        if self._signer is not None:
            self._hash.update(piece)
        found.append(piece)
        if not self._left:
            self._prove()
            self._after_data, self._state = True, "head"
        return True

    def _prove(self) -> None:
        if self._signer is not None:
            self._signer.check_chunk(self._signature, self._hash.hexdigest())
            self._hash = hashlib.sha256()

    def _trailer_line(self, line: bytes) -> None:
        if not line:
            if self._trailed and not self.trailer:
                return  # the empty line that ends the final chunk, where a client sends one
            self._end_trailer()
            return
        field = _TRAILER.fullmatch(line)
        name = "" if field is None else field[1].decode().lower()
        if field is None or not self._trailed or name in self.trailer or len(self.trailer) >= _MOST_TRAILERS:
            raise AwsError("MalformedTrailerError", "The request contained trailing data that was not valid.")
        self.trailer[name] = field[2].decode()

    def _end_trailer(self) -> None:
        if self._trailed and self._signer is not None:
            signature = self.trailer.pop("x-amz-trailer-signature", "")
            lines = b"".join(f"{name}:{value}\n".encode() for name, value in self.trailer.items())
            self._signer.check_trailer(signature, lines)
        self._state = "end"


def _malformed(why: str) -> AwsError:
    return AwsError("InvalidRequest", f"The body is not in the coding aws-chunked: {why}.")
