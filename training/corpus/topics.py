"""Reads the topics: what people ask, one-sentence answers, what can be added and the reason why."""

# A sentence is easiest to read and change on one line.

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from training.corpus.grammar import expand

TEXT = Path(__file__).parent / "text"
WEIGHTS = {"serving": 34, "project": 12, "self": 12, "smalltalk": 22, "facts": 26}

FRAMES = [
    "what <is|are> {noun}",
    "what <is|are> {noun}",
    "what's {noun}",
    "explain {noun}",
    "tell me about {noun}",
    "tell me something about {noun}",
    "define {noun}",
    "describe {noun}",
    "can you explain {noun}",
    "what do you know about {noun}",
    "explain {noun} <to me|in simple words|like i am five|to a beginner|to a child>",
    "i want to <know|learn> about {noun}",
    "what does {noun} mean",
    "{noun}",
    "say something about {noun}",
    "give me <a short|an> explanation of {noun}",
    "talk to me about {noun}",
    "teach me about {noun}",
    "what can you tell me about {noun}",
    "i would like to know more about {noun}",
    "let's talk about {noun}",
    "help me understand {noun}",
    "how would you explain {noun}",
    "write <something|a short text|a few sentences> about {noun}",
    "do you know <anything|something> about {noun}",
    "what exactly <is|are> {noun}",
    "{noun} explained",
    "i have a question about {noun}",
    "what <is|are> {noun} and how does it work",
    "how does {noun} work",
]
WHY_FRAMES = [
    "why <is|are> {noun} important",
    "why do <we|i|people> need {noun}",
    "why does {noun} matter",
    "why should i care about {noun}",
    "what <is|are> {noun} good for",
    "why {noun}",
    "what is the point of {noun}",
]
BRIEF_FRAMES = [
    "in one sentence, what <is|are> {noun}",
    "tell me one sentence about {noun}",
    "explain {noun} <briefly|in one sentence|in a few words>",
    "what <is|are> {noun} in short",
    "define {noun} in one sentence",
    "a short answer please: what <is|are> {noun}",
]
LONG_FRAMES = [
    "explain {noun} in detail",
    "tell me <everything|all you know|a lot> about {noun}",
    "give me a long answer about {noun}",
    "write a long text about {noun}",
    "write a paragraph about {noun}",
    "i want a detailed explanation of {noun}",
]


@dataclass(frozen=True, slots=True)
class Topic:
    group: str
    nouns: tuple[str, ...]
    questions: tuple[str, ...]
    answers: tuple[str, ...]
    additions: tuple[str, ...]
    reasons: tuple[str, ...]


@cache
def topics(group: str) -> tuple[Topic, ...]:
    """All topics of one text file; a line's first character says what it is."""
    found = []
    for block in (TEXT / f"{group}.txt").read_text().split("== ")[1:]:
        title, *lines = block.strip().split("\n")
        part = {mark: tuple(line[2:] for line in lines if line[0] == mark) for mark in "?=+^"}
        part["?"] = tuple(asked for asked in part["?"] if asked not in direct_answers())
        found.append(Topic(group, tuple(title.split(" / ")), part["?"], part["="], part["+"], part["^"]))
    return tuple(found)


@cache
def direct_answers() -> dict[str, str]:
    """Questions that ask for one particular fact, and that fact."""
    found = {}
    for line in (TEXT / "direct.txt").read_text().splitlines():
        asked, reply = line.split(" => ")
        found |= dict.fromkeys(asked.split(" / "), reply)
    return found


@cache
def steps() -> dict[str, tuple[str, ...]]:
    """Requests for a list, and its lines."""
    found = {}
    for line in (TEXT / "steps.txt").read_text().splitlines():
        asked, listed = line.split(" => ")
        found |= dict.fromkeys(asked.split(" / "), tuple(listed.split(" | ")))
    return found


@cache
def comparisons() -> tuple[tuple[str, str, str], ...]:
    """Two things that people mix up, and what sets them apart."""
    lines = (line.split(" => ") for line in (TEXT / "comparisons.txt").read_text().splitlines())
    return tuple((*pair.split(" and ", 1), reply) for pair, reply in lines)


def any_topic(rng: Random) -> Topic:
    group = rng.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))[0]
    return rng.choice(topics(group))


def question(topic: Topic, rng: Random) -> tuple[str, str]:
    """A question about the topic, and the kind of answer it asks for."""
    kind, frames = "free", FRAMES
    # The titles of small talk are only labels, so its questions are all written out.
    if (topic.group == "smalltalk" and not topic.additions) or (topic.questions and rng.random() < 0.6):
        return expand(rng.choice(topic.questions), rng), kind
    roll = rng.random()
    if roll < 0.1 and topic.reasons:
        kind, frames = "why", WHY_FRAMES
    elif roll < 0.18:
        kind, frames = "brief", BRIEF_FRAMES
    elif roll < 0.26 and len(topic.additions) > 2:
        kind, frames = "long", LONG_FRAMES
    return expand(rng.choice(frames), rng, noun=rng.choice(topic.nouns)), kind


def answer(topic: Topic, kind: str, rng: Random) -> tuple[str, list[int]]:
    """An answer, and which of the topic's additions it has used."""
    available = len(topic.additions)
    if kind == "why" and topic.reasons:
        opening, count = rng.choice(topic.reasons), rng.choice([0, 1, 1, 2])
    else:
        opening = rng.choice(topic.answers)
        count = {"brief": 0, "long": available}.get(kind, rng.choice([0, 0, 1, 1, 2, 3, 3, 4, 5, 6]))
    used = sorted(rng.sample(range(available), min(count, available)))
    return expand(" ".join([opening, *(topic.additions[n] for n in used)]), rng), used
