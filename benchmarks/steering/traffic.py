"""What the simulated users ask: conversations of about five turns, some with a long document in a turn."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random

from benchmarks.steering.world import UserGroup
from nearstream.edge.steering.coefficients import Work

SYSTEM_PROMPTS = (300, 600, 900, 1500)
"""Tokens of the system prompts, each shared by the conversations of one application."""
BYTES_A_TOKEN = 4.3
TURNS_A_CONVERSATION = 4.9
_APPLICATIONS = (0.3, 0.3, 0.25, 0.15)
_DOCUMENT_SHARE = 0.12


@dataclass(slots=True)
class Remembered:
    """What a site read of a conversation: by which replica, how many tokens, when."""

    replica: int
    tokens: int
    at_ms: float


@dataclass(slots=True)
class Conversation:
    """One user's chat; its lengths and pauses come from a generator of its own, so that all policies get
    the same.
    """

    number: int
    group: UserGroup
    application: int
    turns: int
    random: Random
    history: int = 0
    turn: int = 0
    last_site: str | None = None
    read_by: dict[str, Remembered] = field(default_factory=dict)
    used_at_ms: dict[str, float] = field(default_factory=dict)

    @property
    def system_tokens(self) -> int:
        """Of the application's system prompt."""
        return SYSTEM_PROMPTS[self.application]


@dataclass(slots=True, eq=False)
class Request:
    """One turn on its way."""

    conversation: Conversation
    prompt: int
    output: int
    sent_ms: float
    site: str = ""
    entry: str | None = None
    handed_on_by: str | None = None
    predicted_ms: float | None = None
    decided_ms: float = 0.0
    arrived_ms: float = 0.0
    replica: int = 0
    uncached: int = 0
    left: int = 0
    work: Work | None = None
    expected_ms: float = 0.0

    @property
    def body_bytes(self) -> int:
        """Size of its body."""
        return int(self.prompt * BYTES_A_TOKEN)


def conversation(number: int, group: UserGroup, random: Random) -> Conversation:
    """A new chat of that group."""
    application = random.choices(range(len(SYSTEM_PROMPTS)), _APPLICATIONS)[0]
    turns = min(1 + int(random.expovariate(1 / 4.4)), 20)
    return Conversation(number, group, application, turns, Random(number * 1009 + 17))


def next_turn(chat: Conversation, now_ms: float) -> Request:
    """The user's next message, with all that was said before it."""
    random = chat.random
    message = int(min(_lognormal(random, 60, 0.8), 600)) + 4
    if random.random() < _DOCUMENT_SHARE:
        message += int(min(_lognormal(random, 1400, 0.6), 5000))
    output = int(min(max(_lognormal(random, 130, 0.8), 4), 600))
    request = Request(chat, chat.system_tokens + chat.history + message, output, now_ms)
    chat.history += message
    chat.turn += 1
    return request


def pause_ms(chat: Conversation) -> float:
    """Between an answer and the user's next message."""
    return min(_lognormal(chat.random, 9000, 0.7), 60_000)


def _lognormal(random: Random, mean: float, sigma: float) -> float:
    return random.lognormvariate(math.log(mean) - sigma * sigma / 2, sigma)
