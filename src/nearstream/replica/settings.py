"""The settings of one model server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from nearstream.replica.access import ManagementAccess
from nearstream.wire.browsers import PageRules
from nearstream.wire.dialects.hf.terms import Terms


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """`model_directory` holds the tokenizer and the chat template; `model_id` is the name that clients see.

    It listens on `socket` (a Unix socket that only this user may open), on `host` and `port`, or on both.
    Port 0 takes a free one. `grace_s` is how long a stop waits for answers that are under way.
    """

    model_id: str
    model_directory: Path
    terms: Terms = field(default_factory=Terms)
    host: str = "127.0.0.1"
    port: int | None = None
    socket: Path | None = None
    grace_s: float = 90.0
    listens_when_warm: bool = False
    """Whether connections are refused until the model is warm, as TGI's launcher has it."""
    stall_s: float = 60.0
    """How long a client may take nothing of its answer before its connection is ended."""
    keepalive_s: float = 15.0
    """After how much silence a stream that allows it is kept alive by a comment."""
    api_key: str | None = None
    pages: PageRules = field(default_factory=PageRules)
    """Whose pages may call, and by which names."""
    management: ManagementAccess = field(default_factory=ManagementAccess)
    """Who may load adapters, take them away and end calls."""
    max_batch_size: int | None = None
    """Requests that generate at once; None: as many as are admitted."""
    max_batch_tokens: int | None = None
    """Tokens, prompts and answers, that these may come to hold together; None: not limited here."""
    messages_api: bool = False
    """MESSAGES_API_ENABLED: /invocations takes conversations (TGI 1.4 to 2.3)."""
    plain_text_errors: bool = False
    """Errors of a body that cannot be read are plain text, as TGI's, not JSON."""
    model_sha: str | None = None
    model_dtype: str = "bfloat16"
    compute_type: str | None = "cpu"
    """`x-compute-type` of TGI's responses, beside their timings; None: a response has neither."""

    @property
    def batch_tokens(self) -> int:
        """Tokens that can be under way at once: the budget, or what the other limits let in."""
        limits = self.terms.limits
        most_requests = self.max_batch_size or limits.max_concurrent_requests
        return self.max_batch_tokens or limits.max_total_tokens * most_requests
