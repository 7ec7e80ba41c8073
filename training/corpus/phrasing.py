"""Varies how a request is written: case, punctuation, politeness and slips of the keyboard."""

# A sentence is easiest to read and change on one line.

from random import Random

from training.corpus.grammar import expand

BEFORE = [
    "please ",
    "hey, ",
    "hi, ",
    "hello, ",
    "so ",
    "ok, ",
    "can you tell me ",
    "could you tell me ",
    "please tell me ",
    "i would like to know ",
    "quick question: ",
    "i have a question: ",
    "do you know ",
    "tell me, ",
    "hello! ",
    "hi! ",
    "well, ",
    "good morning, ",
    "and ",
    "now ",
    "i wonder ",
    "just curious, ",
]
AFTER = [" please", ", please", " thanks", " for me", ", thank you", " now", " exactly", " today", " then"]
QUESTION_WORDS = (
    "what",
    "who",
    "why",
    "how",
    "when",
    "where",
    "which",
    "is",
    "are",
    "do",
    "does",
    "can",
    "could",
    "should",
)
NEIGHBOURS = dict(zip("qwertyuiopasdfghjklzxcvbnm", "wertyuiopqsdfghjklaxcvbnmz", strict=True))


SWAPS = {
    "how do i ": [
        "how can i ",
        "how to ",
        "how would i ",
        "what is the best way to ",
        "i want to ",
        "can you show me how to ",
        "i need to ",
        "how should i ",
        "how do you ",
        "what do i do to ",
    ],
    "what is ": [
        "what's ",
        "whats ",
        "what exactly is ",
        "do you know what is ",
        "can you say what is ",
        "i want to know what is ",
    ],
    "what are ": ["what're ", "do you know what are ", "what exactly are "],
    "can you ": ["could you ", "are you able to ", "will you ", "would you ", "can u "],
    "tell me ": ["can you tell me ", "could you tell me ", "let me know ", "please tell me "],
    "explain ": [
        "can you explain ",
        "could you explain ",
        "please explain ",
        "i need an explanation of ",
        "how would you explain ",
    ],
    "who are you": ["who r u", "who exactly are you", "what are you called", "so who are you"],
    "why ": ["why exactly ", "for what reason ", "can you tell me why ", "how come "],
    "do you ": ["do u ", "don't you "],
    "i am ": ["i'm ", "im "],
    "write ": ["can you write ", "could you write ", "please write ", "i would like you to write "],
    "give me ": ["can i have ", "can you give me ", "could i get ", "please give me ", "i would like "],
    "name ": ["can you name ", "please name "],
    "list ": ["can you list ", "please list "],
}


def slip(text: str, rng: Random) -> str:
    """One typing mistake in one of the longer words."""
    places = [n for n in range(1, len(text) - 1) if text[n - 1 : n + 2].isalpha()]
    if not places:
        return text
    at = rng.choice(places)
    kind = rng.randrange(4)
    if kind == 0:
        return text[:at] + text[at + 1 :]
    if kind == 1:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    if kind == 2:
        return text[:at] + text[at] + text[at:]
    return text[:at] + NEIGHBOURS.get(text[at], text[at]) + text[at + 1 :]


def phrase(text: str, rng: Random, *, exact: bool = False) -> str:
    """The request as some person might type it; `exact` keeps its words as they are."""
    asks = text.lower().startswith(QUESTION_WORDS)
    closed = text[-1] in "?!."
    if not exact:
        for opening, others in SWAPS.items():
            if text.startswith(opening) and rng.random() < 0.3:
                text = rng.choice(others) + text[len(opening) :]
                break
        if rng.random() < 0.1:
            text = text.replace("favorite", "favourite").replace("color", "colour")
        if rng.random() < 0.14:
            text = rng.choice(BEFORE) + text
        if rng.random() < 0.06 and not closed:
            text += rng.choice(AFTER)
        if rng.random() < 0.10:
            text = slip(text, rng)
    if not closed:
        mark = rng.random()
        if asks:
            text += "?" if mark < 0.66 else "??" if mark < 0.68 else " ?" if mark < 0.70 else ""
        else:
            text += "." if mark < 0.3 else "!" if mark < 0.4 else "?" if mark < 0.45 else ""
    style = rng.random()
    if style < 0.58:
        text = text[0].upper() + text[1:]
        text = text.replace(" i ", " I ").replace(" i'm ", " I'm ")
    elif style < 0.60 and not exact:
        text = text.upper()
    elif style < 0.62:
        text = expand("<| >", rng) + text + expand("<| |\n>", rng)
    return text
