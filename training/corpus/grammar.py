"""Expands sentences with choices, such as "<Hello|Hi> {name}", into one of their forms."""

import re
from random import Random

CHOICE = re.compile(r"<([^<>]*)>")


def expand(text: str, rng: Random, **slots: str) -> str:
    """Picks one branch of every <a|b> from the inside out, then fills the {slots}."""
    while match := CHOICE.search(text):
        text = text[: match.start()] + rng.choice(match[1].split("|")) + text[match.end() :]
    for name, value in slots.items():
        text = text.replace("{" + name + "}", value)
    return text


def tidy(text: str) -> str:
    """Removes the doubled spaces that empty branches leave behind."""
    return re.sub(r" {2,}", " ", text).strip()
