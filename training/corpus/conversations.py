"""Puts exchanges together into conversations, with follow-ups, memory and system prompts."""

# A sentence is easiest to read and change on one line.
# ruff: noqa: E501

from dataclasses import dataclass
from random import Random

from training.corpus.grammar import expand, tidy
from training.corpus.memory import Remembered, remembered
from training.corpus.personas import Persona, persona
from training.corpus.phrasing import phrase
from training.corpus.quiz import quiz
from training.corpus.stray import stray_exchange
from training.corpus.topics import answer, any_topic, question, topics
from training.corpus.writing import RIDDLES, TASKS, repeat_task

MORE = "<tell me more|more|go on|please continue|continue|can you tell me more|more please|what else|and?|more details please|anything else|keep going>"
WHY = "<why|why?|why is that|why so|but why|how come|why is that important|why does it matter>"
SHORTER = "<say it shorter|shorter please|in one sentence|say that in one sentence|too long|make it shorter|summarize that|can you say that more briefly|tl;dr|shorter>"
AGAIN = "<i do not understand|what do you mean|i don't get it|can you explain that again|say it in other words|please explain that differently|huh?|what?>"
ANOTHER = (
    "<another one|one more|again|another|tell me another one|another one please|one more please|and another>"
)
NO_REASON = "<I cannot give you a good reason for that.|That is just how it is, as far as I know.|I do not know why. I am only a small model.>"
NO_MORE = "<That is all I know about it.|I have told you all I know.> <Ask me about something else.|Shall we talk about something else?>"


@dataclass(frozen=True, slots=True)
class Exchange:
    said: str
    reply: str


@dataclass(frozen=True, slots=True)
class Conversation:
    system: str | None
    exchanges: tuple[Exchange, ...]


def about_topic(rng: Random, manner: Persona) -> list[Exchange]:
    """A question on a topic and perhaps what follows from it."""
    topic = any_topic(rng)
    while manner.asked and topic.nouns[0] == "who you are":
        topic = any_topic(rng)
    asked, kind = question(topic, rng)
    kind = manner.length or kind
    reply, used = answer(topic, kind, rng)
    exchanges = [Exchange(phrase(asked, rng), reply)]
    while rng.random() < 0.3 and topic.group != "smalltalk" and len(exchanges) < 4:
        unused = [n for n in range(len(topic.additions)) if n not in used]
        follow = rng.choice(["more", "more", "why", "shorter", "again"])
        if follow == "more":
            more = sorted(
                rng.sample(unused, min(len(unused), 1 if kind == "brief" else rng.choice([1, 2, 2, 3])))
            )
            used = used + more
            said, reply = MORE, " ".join(topic.additions[n] for n in more) or NO_MORE
        elif follow == "why":
            said, reply = WHY, rng.choice(topic.reasons or (NO_REASON,))
        elif follow == "shorter":
            said, reply = SHORTER, min(rng.sample(topic.answers, min(2, len(topic.answers))), key=len)
        else:
            said, reply = (
                AGAIN,
                "<In other words: |Let me try again. |I mean this: |>" + rng.choice(topic.answers),
            )
        exchanges.append(Exchange(phrase(expand(said, rng), rng), expand(reply, rng)))
    return exchanges


def about_writing(rng: Random, manner: Persona) -> list[Exchange]:
    task = rng.choices(list(TASKS), weights=list(TASKS.values()))[0]
    exchanges = [Exchange(*task(rng))]
    while rng.random() < 0.15:
        exchanges.append(
            Exchange(expand(ANOTHER, rng), task(rng)[1] if task is not repeat_task else exchanges[-1].reply)
        )
    exact = task is repeat_task
    return [Exchange(phrase(one.said, rng, exact=exact), one.reply) for one in exchanges]


def about_riddle(rng: Random, manner: Persona) -> list[Exchange]:
    """A riddle, a guess or none, and the solution."""
    riddle, solution = rng.choice(RIDDLES)
    asked = "<tell me a riddle|ask me a riddle|a riddle please|do you know a riddle|riddle me something|give me a riddle|another riddle>"
    given_up = "<i don't know|tell me|what is it|i give up|what is the answer|no idea|what is the solution|hmm|please tell me>"
    exchanges = [Exchange(phrase(expand(asked, rng), rng), riddle)]
    if rng.random() < 0.3:
        guess = rng.choice([other for _, other in RIDDLES if other != solution])
        exchanges.append(
            Exchange(
                phrase(guess, rng, exact=True),
                "<Not quite. Try again!|No, that is not it. Do you give up?|Good guess, but no.>",
            )
        )
    if rng.random() < 0.5:
        exchanges.append(
            Exchange(phrase(expand(given_up, rng), rng), f"<It is {solution}!|The answer is {solution}.>")
        )
    elif rng.random() < 0.6:
        exchanges.append(
            Exchange(
                phrase(solution, rng, exact=True),
                f"<Yes, it is {solution}!|That is right: {solution}.|Well done, it is {solution}!>",
            )
        )
    return [Exchange(one.said, expand(one.reply, rng)) for one in exchanges]


def about_quiz(rng: Random, manner: Persona) -> list[Exchange]:
    exchanges = [quiz(rng) for _ in range(rng.choice([1, 1, 1, 2, 3]))]
    return [Exchange(phrase(said, rng, exact="?" in said), reply) for said, reply in exchanges]


def about_stray(rng: Random, manner: Persona) -> list[Exchange]:
    said, reply = stray_exchange(rng)
    return [
        Exchange(
            phrase(said, rng) if said.isascii() and said[0].islower() and said[-1].isalpha() else said, reply
        )
    ]


def small_talk(rng: Random) -> Exchange:
    topic = rng.choice(topics("smalltalk")[:12])
    return Exchange(phrase(rng.choice(topic.questions), rng), answer(topic, "free", rng)[0])


def about_memory(rng: Random, manner: Persona) -> list[Exchange]:
    """Something is told, other things are said, and then it is asked for."""
    facts = [remembered(rng) for _ in range(rng.choice([1, 1, 2]))]
    if len(facts) == 2 and facts[0].about == facts[1].about:
        facts = facts[:1]
    exchanges = [told(fact, rng) for fact in facts]
    for _ in range(rng.choice([0, 0, 1, 1, 2, 3])):
        exchanges += block(rng, manner, memory=False)[:2]
    for fact in rng.sample(facts, len(facts)):
        if rng.random() < 0.9:
            exchanges.append(
                Exchange(phrase(expand(fact.ask, rng), rng, exact=True), expand(fact.recall, rng))
            )
    return exchanges


def told(fact: Remembered, rng: Random) -> Exchange:
    return Exchange(phrase(expand(fact.tell, rng), rng, exact=True), expand(fact.welcome, rng))


def unknown_memory(rng: Random, manner: Persona) -> list[Exchange]:
    fact = remembered(rng)
    return [Exchange(phrase(expand(fact.ask, rng), rng, exact=True), expand(fact.unknown, rng))]


def asked_before(rng: Random, manner: Persona) -> list[Exchange]:
    """The first question is asked for again, word for word."""
    exchanges = block(rng, manner, memory=False)[:1]
    first = exchanges[0].said.strip()
    if len(first) > 80 or not first.isascii():
        return exchanges
    if rng.random() < 0.5:
        said = "<what did i just ask|what was my question|what did i ask you|repeat my question|what was my first question>"
        return [*exchanges, Exchange(phrase(expand(said, rng), rng, exact=True), f'You asked: "{first}"')]
    said = "<say that again|repeat that|can you repeat your answer|what did you say|please repeat|repeat your last answer>"
    return [*exchanges, Exchange(phrase(expand(said, rng), rng, exact=True), exchanges[0].reply)]


BLOCKS = {
    about_topic: 52,
    about_writing: 14,
    about_quiz: 22,
    about_riddle: 1.5,
    about_stray: 12,
    about_memory: 9,
    asked_before: 2,
}


def block(rng: Random, manner: Persona, *, memory: bool = True) -> list[Exchange]:
    kinds = BLOCKS if memory else {kind: BLOCKS[kind] for kind in (about_topic, about_writing, about_quiz)}
    return rng.choices(list(kinds), weights=list(kinds.values()))[0](rng, manner)


def conversation(rng: Random, *, blocks: int | None = None) -> Conversation:
    """A conversation of one or several blocks; `blocks` asks for a long one."""
    manner = persona(rng)
    exchanges = [Exchange(*manner.asked)] if manner.asked and rng.random() < 0.7 else []
    if rng.random() < 0.08:
        exchanges.insert(0, small_talk(rng))
    if not exchanges and not manner.asked and rng.random() < 0.02:
        exchanges = unknown_memory(rng, manner)
    count = blocks or (0 if exchanges and rng.random() < 0.4 else rng.choice([1, 1, 1, 1, 2, 2, 3]))
    for _ in range(count):
        exchanges += block(rng, manner, memory=not manner.asked)
    if rng.random() < 0.1:
        exchanges.append(small_talk(rng))
    if manner.asked and rng.random() < 0.3:
        exchanges.append(Exchange(*manner.asked))
    finished = tuple(
        Exchange(one.said, manner.style(tidy(one.reply), rng)) for one in exchanges or block(rng, manner)
    )
    return Conversation(manner.system, finished)
