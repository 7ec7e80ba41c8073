"""Things a user may tell about themselves and ask for later."""

# A sentence is easiest to read and change on one line.
# ruff: noqa: E501

from dataclasses import dataclass
from random import Random

from training.corpus.tables import CITIES, FAVOURITES, NAMES, ORDINARY_WORDS

SYLLABLES = [
    "ka",
    "ro",
    "mi",
    "la",
    "ta",
    "ne",
    "so",
    "vi",
    "del",
    "mar",
    "tin",
    "bo",
    "ri",
    "an",
    "el",
    "jo",
    "sha",
    "le",
    "na",
    "ku",
    "ya",
    "do",
    "fi",
    "ra",
    "zu",
    "pe",
    "lo",
    "wen",
    "gar",
    "is",
]


@dataclass(frozen=True, slots=True)
class Remembered:
    about: str
    tell: str
    welcome: str
    ask: str
    recall: str
    unknown: str


def any_name(rng: Random) -> str:
    """A known name or one made up, so that the model learns to copy instead of knowing names."""
    if rng.random() < 0.55:
        return rng.choice(NAMES)
    return "".join(rng.choices(SYLLABLES, k=rng.choice([2, 2, 3]))).capitalize()


def name_told(rng: Random) -> Remembered:
    name = any_name(rng)
    shown = name if rng.random() < 0.85 else name.lower()
    return Remembered(
        "name",
        f"<my name is {shown}|i am {shown}|i'm {shown}|call me {shown}|hi, i am {shown}|hello, my name is {shown}|hi, my name is {shown}|you can call me {shown}|hello! i'm {shown}|my name's {shown}|{shown} is my name>",
        f"<Nice to meet you, {name}!|Hello {name}!|Hi {name}, nice to meet you.|Welcome, {name}!> <How can I help you?|What would you like to talk about?|What can I do for you?|>",
        "<what is my name|what was my name|who am i|do you remember my name|what's my name|do you know my name|tell me my name|can you remember my name>",
        f"<Your name is {name}.|You are {name}.|Of course: your name is {name}.|You told me that your name is {name}.>",
        "<You have not told me your name yet.|I do not know your name yet. What is it?|You did not tell me your name.>",
    )


def city_told(rng: Random) -> Remembered:
    city = rng.choice(CITIES) if rng.random() < 0.7 else any_name(rng)
    return Remembered(
        "city",
        f"<i live in {city}|i am from {city}|my home is {city}|i come from {city}|i'm from {city}>",
        f"<{city} sounds like a good place.|How nice, {city}!|I would like to hear more about {city}.|Greetings to {city}!> <What do you like there?|>",
        "<where do i live|where am i from|which city do i live in|do you remember where i live|where do i come from>",
        f"<You live in {city}.|You told me that you are from {city}.|In {city}.>",
        "<You have not told me where you live.|I do not know where you live.>",
    )


def favourite_told(rng: Random) -> Remembered:
    kind = rng.choice(list(FAVOURITES))
    thing = rng.choice(FAVOURITES[kind])
    spelled = rng.choice(["favourite", "favorite"])
    return Remembered(
        kind,
        f"<my {spelled} {kind} is {thing}|my {spelled} {kind} is {thing}|i like {thing}, it is my {spelled} {kind}>",
        f"<Good choice!|I like that.|That is a fine {kind}.|I will remember that.> <I can see why.|What do you like about it?|>",
        f"<what is my {spelled} {kind}|what's my {spelled} {kind}|do you remember my {spelled} {kind}|which {kind} do i like best>",
        f"<Your {spelled} {kind} is {thing}.|You told me that your {spelled} {kind} is {thing}.|It is {thing}.>",
        f"<You have not told me your {spelled} {kind}.|I do not know your {spelled} {kind} yet.>",
    )


def note_told(rng: Random) -> Remembered:
    kind, plural = rng.choice(
        [
            ("word", ""),
            ("password", ""),
            ("dog's name", "n"),
            ("cat's name", "n"),
            ("project's name", "n"),
            ("number", "d"),
        ]
    )
    thing = (
        any_name(rng)
        if plural == "n"
        else str(rng.randint(2, 999))
        if plural == "d"
        else rng.choice(ORDINARY_WORDS)
    )
    whose = "my" if plural == "n" else "the"
    yours = "Your" if plural == "n" else "The"
    return Remembered(
        kind,
        f"<remember that {whose} {kind} is {thing}|{whose} {kind} is {thing}|please remember: {whose} {kind} is {thing}|note that {whose} {kind} is {thing}>",
        f"<I will remember that.|Noted: {yours.lower()} {kind} is {thing}.|All right, {thing}.|Good, I have noted that.>",
        f"<what is {whose} {kind}|what was {whose} {kind}|do you remember {whose} {kind}|tell me {whose} {kind}>",
        f"<{yours} {kind} is {thing}.|It is {thing}.|You told me that it is {thing}.>",
        f"<You have not told me {'your' if plural == 'n' else 'the'} {kind}.|I do not know that yet.>",
    )


def remembered(rng: Random) -> Remembered:
    """One thing to be told and recalled."""
    return rng.choices([name_told, city_told, favourite_told, note_told], weights=[5, 1.5, 3, 1.5])[0](rng)
