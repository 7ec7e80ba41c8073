"""Questions with one right answer: capitals, sums, opposites, neighbours in a series, reading and copying."""

# A sentence is easiest to read and change on one line.
# ruff: noqa: E501

from random import Random

from training.corpus.grammar import expand
from training.corpus.tables import CAPITALS, NAMES, NUMBERS, OPPOSITES, ORDINARY_WORDS
from training.corpus.topics import comparisons, direct_answers, steps

DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
SOUNDS = {
    "cat": "meow",
    "dog": "woof",
    "cow": "moo",
    "duck": "quack",
    "sheep": "baa",
    "lion": "roar",
    "owl": "hoo",
    "bee": "buzz",
}
LEGS = {
    "dog": "four",
    "cat": "four",
    "horse": "four",
    "spider": "eight",
    "bird": "two",
    "insect": "six",
    "snake": "no",
    "person": "two",
    "ant": "six",
    "cow": "four",
}


def capital(rng: Random) -> tuple[str, str]:
    country, city = rng.choice(list(CAPITALS.items()))
    if rng.random() < 0.15:
        return expand(
            f"<which country is {city} the capital of|{city} is the capital of which country>", rng
        ), f"{city} is the capital of {country}."
    ask = f"<what is the capital of|what's the capital of|tell me the capital of|which city is the capital of|capital of|name the capital of|the capital of> {country}"
    return expand(ask, rng), expand(
        f"<The capital of {country} is {city}.|{city} is the capital of {country}.|It is {city}.>", rng
    )


def total(rng: Random) -> tuple[str, str]:
    plus = rng.random() < 0.65
    a, b = rng.randint(0, 20), rng.randint(0, 20)
    if plus and a + b > 20:
        a, b = a % 11, b % 10
    if not plus:
        a, b = max(a, b), min(a, b)
    result = a + b if plus else a - b
    figures = rng.random() < 0.55
    left, right, equal = (
        (str(a), str(b), str(result)) if figures else (NUMBERS[a], NUMBERS[b], NUMBERS[result])
    )
    sign = expand("<plus|plus|+|and>" if plus else "<minus|minus|->", rng)
    ask = f"<what is|what's|how much is|calculate|> {left} {sign} {right}"
    word = "plus" if plus else "minus"
    return expand(ask, rng).strip(), expand(
        f"<{left} {word} {right} is {equal}.|{left} {word} {right} is {equal}.|It is {equal}.>", rng
    ).capitalize()


def product(rng: Random) -> tuple[str, str]:
    a = rng.choice([2, 3, 4, 5, 10])
    b = rng.randint(1, 20 // a)
    return expand(f"<what is|how much is> {a} <times|x|*> {b}", rng), f"{a} times {b} is {a * b}."


def opposite(rng: Random) -> tuple[str, str]:
    word, other = rng.choice(list(OPPOSITES.items()))
    if rng.random() < 0.4 and word != "light" and other != "light":
        word, other = other, word
    ask = f"<what is the opposite of|what's the opposite of|opposite of|tell me the opposite of> {word}"
    return expand(ask, rng), expand(f"<The opposite of {word} is {other}.|It is {other}.>", rng)


def neighbour(rng: Random) -> tuple[str, str]:
    series, noun = rng.choice([(DAYS, "day"), (MONTHS, "month"), (NUMBERS[:20], "number")])
    at, step = rng.randrange(len(series)), rng.choice([1, 1, -1])
    if series is not DAYS and series is not MONTHS and not 0 <= at + step < len(series):
        step = 1 if at == 0 else -1
    other = series[(at + step) % len(series)]
    word = "after" if step == 1 else "before"
    return expand(
        f"<which|what> {noun} comes {word} {series[at]}", rng
    ), f"{other} comes {word} {series[at]}.".capitalize()


def creature(rng: Random) -> tuple[str, str]:
    if rng.random() < 0.5:
        animal, sound = rng.choice(list(SOUNDS.items()))
        return expand(
            f"<what does a {animal} say|what sound does a {animal} make>", rng
        ), f"A {animal} says {sound}.".replace("A owl", "An owl")
    animal, legs = rng.choice(list(LEGS.items()))
    article = "An" if animal[0] in "aio" else "A"
    return expand(
        f"how many legs does {article.lower()} {animal} have", rng
    ), f"{article} {animal} has {legs} legs."


def reading(rng: Random) -> tuple[str, str]:
    """A fact in the request, which the answer must pick up."""
    name, other = rng.sample(NAMES, 2)
    thing, second = rng.sample(ORDINARY_WORDS, 2)
    kind = rng.randrange(4)
    if kind == 0:
        return (
            f"{name} has a {thing} and {other} has a {second}. What does {name} have?",
            f"{name} has a {thing}.",
        )
    if kind == 1:
        return (
            f"{name} likes the {thing}. {other} likes the {second}. Who likes the {second}?",
            f"{other} likes the {second}.",
        )
    if kind == 2:
        return f"The {thing} is in the {second}. Where is the {thing}?", f"The {thing} is in the {second}."
    return f"The word is {thing}. What is the word?", f"The word is {thing}."


def letters(rng: Random) -> tuple[str, str]:
    word = rng.choice(ORDINARY_WORDS)
    if rng.random() < 0.6:
        return expand(
            f"<spell the word {word}|how do you spell {word}|spell {word}>", rng
        ), f"{', '.join(word.upper())}."
    return expand(
        f"<what is the first letter of|tell me the first letter of> {word}", rng
    ), f"The first letter of {word} is {word[0].upper()}."


def direct(rng: Random) -> tuple[str, str]:
    return rng.choice(list(direct_answers().items()))


def comparison(rng: Random) -> tuple[str, str]:
    one, other, reply = rng.choice(comparisons())
    if rng.random() < 0.4:
        one, other = other, one
    ask = f"<what is the difference between|what's the difference between|explain the difference between|compare|tell me the difference between> {one} and {other}"
    if rng.random() < 0.25:
        ask = f"<how <is|are> {one} different from {other}|{one} versus {other}|{one} or {other}>"
    return expand(ask, rng), reply


def numbered(rng: Random) -> tuple[str, str]:
    asked, lines = rng.choice(list(steps().items()))
    opening = expand("<|Here you are:\n|These are the steps:\n|Gladly:\n|>", rng)
    return asked, opening + "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1))


KINDS = {
    direct: 14,
    comparison: 7,
    numbered: 5,
    capital: 5,
    total: 5,
    product: 1,
    opposite: 2,
    neighbour: 2,
    creature: 1,
    reading: 4,
    letters: 1.5,
}


def quiz(rng: Random) -> tuple[str, str]:
    """One question with one right answer."""
    return rng.choices(list(KINDS), weights=list(KINDS.values()))[0](rng)
