"""System prompts and what each of them changes in the answers."""

# A sentence is easiest to read and change on one line.
# ruff: noqa: E501

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from training.corpus.grammar import expand
from training.corpus.memory import any_name
from training.corpus.phrasing import phrase
from training.corpus.tables import ORDINARY_WORDS, PERSONAS

PLAIN = [
    "You are a helpful assistant.",
    "You are a helpful assistant",
    "You are a friendly assistant.",
    "You are an assistant.",
    "You are a helpful, respectful and honest assistant.",
    "You are a helpful AI assistant.",
    "Be helpful.",
    "You are a chatbot.",
    "You are the built-in model of nearstream.",
    "Answer the user's questions.",
    "You are a helpful chat assistant that answers clearly.",
    "The following is a conversation with a helpful assistant.",
    "You are a small model that helps people to try streaming.",
    "Please answer politely and truthfully.",
    "You help people with their questions about streaming inference.",
]
BRIEF = [
    "Answer in one sentence.",
    "Answer briefly.",
    "Be brief.",
    "Keep your answers short.",
    "Be concise.",
    "You are a concise assistant.",
    "Reply with one short sentence.",
    "Answer with a single sentence.",
    "You are a helpful assistant. Answer briefly.",
    "You are a helpful assistant. Answer in one sentence.",
    "Use as few words as possible.",
    "Short answers only.",
    "Always answer in one sentence.",
]
LONG = [
    "Answer in detail.",
    "Give long answers.",
    "Explain everything in detail.",
    "You are a patient teacher who explains everything at length.",
    "You are a helpful assistant. Answer in detail.",
    "Be thorough.",
    "Write long and detailed answers.",
]
CHEERFUL = [
    "Always be cheerful.",
    "You are a cheerful assistant.",
    "Be cheerful.",
    "You are very happy and cheerful.",
    "Answer in a cheerful tone.",
    "You are a helpful assistant who is always cheerful.",
    "Be enthusiastic!",
]
PIRATE = [
    "You are a pirate.",
    "Talk like a pirate.",
    "Answer like a pirate.",
    "You are a friendly pirate captain.",
    "Speak like a pirate.",
]
POLITE = [
    "Be very polite.",
    "You are a butler.",
    "You are a very polite butler.",
    "Always be extremely polite.",
    "Answer like a butler.",
]
ROLES = "<a friendly assistant|a helpful assistant|a helpful guide|a travel guide|a friendly robot|a librarian|a teacher|a support agent|a voice assistant|a poet|a guide to streaming|a calm assistant|an expert on latency|a little robot|a chatbot|a shop assistant>"
MAKERS = (
    "<Acme|Northwind|Bluebird|Harbor Labs|Edgeworks|the city library|Green Valley|Lakeside Hotel|Starling>"
)


@dataclass(frozen=True, slots=True)
class Persona:
    system: str | None
    length: str | None = None
    style: Callable[[str, Random], str] = lambda reply, rng: reply
    asked: tuple[str, str] | None = None


def cheerful(reply: str, rng: Random) -> str:
    return (
        expand("<Hooray! |Oh, how nice! |Great question! |What fun! |Yay! |Wonderful! >", rng)
        + reply
        + expand("<| Have a great day!| Keep smiling!| Isn't that great!>", rng)
    )


def pirate(reply: str, rng: Random) -> str:
    return (
        expand("<Arr! |Ahoy! |Aye, matey! |Yo ho! >", rng)
        + reply
        + expand("<| Arr!| So says the captain.| Aye!>", rng)
    )


def polite(reply: str, rng: Random) -> str:
    return (
        expand("<With pleasure. |Certainly. |Very well. |If I may. >", rng)
        + reply
        + expand("<| At your service.| I hope that this is to your liking.>", rng)
    )


def named(rng: Random) -> Persona:
    name = rng.choice(PERSONAS) if rng.random() < 0.6 else any_name(rng)
    role = expand(ROLES, rng)
    maker = expand(MAKERS, rng)
    form = rng.randrange(5)
    system, reply = [
        (f"You are {name}, {role}.", f"I am {name}, {role}."),
        (f"Your name is {name}.", f"<My name is {name}.|I am {name}.>"),
        (f"You are {name}, {role} of {maker}.", f"I am {name}, {role} of {maker}."),
        (f"You are {name}.", f"<I am {name}.|My name is {name}.>"),
        (f"You are {role} named {name}.", f"<I am {name}, {role}.|My name is {name}.>"),
    ][form]
    system += expand("<|| Be friendly.| You help the user.| Answer politely.| You like to help.>", rng)
    ask = "<who are you|what is your name|what's your name|tell me your name|do you have a name|introduce yourself|who am i talking to|what are you called|hello, who are you|hi, what is your name>"
    reply = expand(reply, rng) + expand(
        "<| How can I help you?| Nice to meet you!| What can I do for you?>", rng
    )
    return Persona(system, asked=(phrase(expand(ask, rng), rng), reply))


def told_user(rng: Random) -> Persona:
    name = any_name(rng)
    system = expand(
        f"<The user's name is {name}.|You are talking to {name}.|The name of the user is {name}. Be friendly.>",
        rng,
    )
    ask = expand("<what is my name|who am i|do you know my name|what's my name>", rng)
    return Persona(system, asked=(phrase(ask, rng), expand(f"<Your name is {name}.|You are {name}.>", rng)))


def told_fact(rng: Random) -> Persona:
    thing = rng.choice(ORDINARY_WORDS)
    other = any_name(rng)
    hour = rng.choice(["seven", "eight", "nine", "ten"])
    system, ask, reply = rng.choice(
        [
            (
                f"The password is {thing}.",
                "<what is the password|tell me the password>",
                f"The password is {thing}.",
            ),
            (
                f"You work for a shop called {other}. It opens at {hour}.",
                "<when do you open|when does the shop open>",
                f"<We open at {hour}.|The shop opens at {hour}.>",
            ),
            (
                f"You work for a shop called {other}. It opens at {hour}.",
                "<what is the shop called|what is the name of the shop>",
                f"The shop is called {other}.",
            ),
            (
                f"The company is called {other}.",
                "<what is the company called|what is the name of the company>",
                f"The company is called {other}.",
            ),
            (
                f"The secret word is {thing}.",
                "<what is the secret word|do you know the secret word>",
                f"The secret word is {thing}.",
            ),
        ]
    )
    return Persona(system, asked=(phrase(expand(ask, rng), rng), expand(reply, rng)))


def closing(rng: Random) -> Persona:
    word = rng.choice(ORDINARY_WORDS)
    if rng.random() < 0.5:
        system = expand(
            f"<End every answer with the word {word}.|Always end with the word {word}.|Finish each reply with {word}.>",
            rng,
        )
        return Persona(system, style=lambda reply, _: f"{reply} {word.capitalize()}.")
    system = expand(
        f"<Begin every answer with the word {word}.|Start each reply with {word}.|Always begin with {word}.>",
        rng,
    )
    return Persona(system, style=lambda reply, _: f"{word.capitalize()}. {reply}")


def persona(rng: Random) -> Persona:
    """Who the model is to be in one conversation."""
    kind = rng.choices(
        [
            "none",
            "plain",
            "brief",
            "long",
            "cheerful",
            "pirate",
            "polite",
            "named",
            "user",
            "fact",
            "closing",
        ],
        weights=[34, 22, 8, 3, 4, 1.5, 1.5, 10, 2, 3, 2],
    )[0]
    if kind == "plain":
        return Persona(rng.choice(PLAIN))
    if kind == "brief":
        return Persona(rng.choice(BRIEF), length="brief")
    if kind == "long":
        return Persona(rng.choice(LONG), length="long")
    if kind in ("cheerful", "pirate", "polite"):
        lines, style = {
            "cheerful": (CHEERFUL, cheerful),
            "pirate": (PIRATE, pirate),
            "polite": (POLITE, polite),
        }[kind]
        return Persona(rng.choice(lines), style=style)
    makers = {"named": named, "user": told_user, "fact": told_fact, "closing": closing}
    return makers[kind](rng) if kind in makers else Persona(None)
