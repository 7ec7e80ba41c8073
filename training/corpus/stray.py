"""Requests outside the model's topics: noise, other scripts, code, unknown things and long pastes."""

# A sentence is easiest to read and change on one line.
# ruff: noqa: E501, RUF001

from random import Random

from training.corpus.grammar import expand
from training.corpus.memory import any_name
from training.corpus.tables import ORDINARY_WORDS, UNFAMILIAR
from training.corpus.topics import any_topic

SCRIPTS = [
    (0x4E00, 0x9FA5),
    (0x3041, 0x3096),
    (0x30A1, 0x30FA),
    (0xAC00, 0xD7A3),
    (0x0410, 0x044F),
    (0x0391, 0x03C9),
    (0x0627, 0x064A),
    (0x05D0, 0x05EA),
    (0x0905, 0x0939),
    (0x0E01, 0x0E2E),
    (0x1F600, 0x1F64F),
    (0x1F300, 0x1F5FF),
    (0x00C0, 0x00FF),
    (0x1F680, 0x1F6C5),
    (0x2600, 0x26FF),
]
FOREIGN = [
    "Bonjour",
    "Bonjour, comment ca va ?",
    "Salut",
    "Hola",
    "Hola, que tal?",
    "Buenos dias",
    "Guten Tag",
    "Guten Morgen",
    "Hallo, wie geht es dir?",
    "Ciao",
    "Buongiorno",
    "Come stai?",
    "Ola, tudo bem?",
    "Hej",
    "Privet",
    "Привет",
    "Как дела?",
    "你好",
    "你好吗？",
    "你是谁",
    "こんにちは",
    "おはようございます",
    "안녕하세요",
    "مرحبا",
    "नमस्ते",
    "שלום",
    "Γειά σου",
    "Merhaba",
    "Qué es la vida?",
    "Was ist das Leben?",
    "Qu'est-ce que c'est?",
    "Wer bist du?",
    "Wie heißt du?",
    "¿Cómo te llamas?",
    "Je ne comprends pas",
    "Ich verstehe nicht",
    "Quelle heure est-il?",
    "Erzähl mir eine Geschichte",
    "Cuéntame un chiste",
    "Raconte-moi une histoire",
    "Hvad er klokken?",
    "Dzień dobry",
]
CODE = [
    "def {a}({b}):\n    return {b} + {n}",
    "for ({a} = 0; {a} < {n}; {a}++) { {b}(); }",
    "SELECT {a} FROM {b} WHERE {c} = {n};",
    "<{a}><{b}>{c}</{b}></{a}>",
    '{"{a}": {n}, "{b}": ["{c}"]}',
    "import {a}\nprint({a}.{b}({n}))",
    "x = {n} * {m} + {n}",
    "curl -X POST https://{a}.example/{b}",
    'git commit -m "{a} {b}"',
    "{n} {m} {n}{m}",
    "{a}/{b}/{c}.txt",
    "sudo {a} --{b} {n}",
    "console.log('{a}')",
    "#include <{a}.h>\nint main() { return {n}; }",
    "{a}={b}&{c}={n}",
    "ls -la | grep {a}",
]
UNKNOWN = [
    "what is the best {a} for a {b}",
    "how do i repair my {a}",
    "where can i buy a {a} {b}",
    "who is the {a} of {b}",
    "why does my {a} smell like {b}",
    "how much does a {a} cost",
    "how many {a}s are in a {b}",
    "what is a {a} {b}",
    "write a review of the {a} {b}",
    "compare the {a} with the {b}",
    "when was the {a} {b} founded",
    "is a {a} better than a {b}",
    "who wrote the {a} and the {b}",
    "what happened to the {a} in {n}",
    "plan a {a} for {n} people",
    "find me a {a} near the {b}",
    "how do i turn a {a} into a {b}",
    "what does {a} {b} {c} mean",
    "explain the {a} theory of {b}",
    "rate my {a}",
    "design a {a} for the {b} industry",
    "what is the {a} rate in {b}",
    "play {a} {b}",
    "order a {a}",
    "call {a}",
    "book a {a} for {n}",
    "open the {a}",
    "turn on the {a}",
    "send a {a} to {b}",
    "what are the side effects of {a}",
    "act as a {a} and a {b}",
]
STRANGE = [
    "what <is|are> <a |the |>{u}",
    "what <is|are> {u}",
    "tell me about <the |>{u}",
    "explain {u}",
    "tell me something about {u}",
    "how does <a |the |>{u} work",
    "what do you know about {u}",
    "who invented the {u}",
    "describe <a |the |>{u}",
    "why <is|are> {u} so popular",
    "how do i clean a {u}",
    "who is {m} {n}",
    "what is {m}",
    "who was {m}",
    "tell me about {m}",
    "where is {m}",
    "what does {m} mean",
    "do you know {m} {n}",
    "have you heard of {m}",
    "what is {m} {n}",
    "how do i learn {u}",
    "where does {u} come from",
    "when was {u} invented",
    "how much does {u} cost",
    "what color is <a |the |>{u}",
    "define {u}",
    "is {u} good for me",
    "can i eat {u}",
    "how do i use <a |the |>{u}",
    "what happened in {y}",
    "who was king in {y}",
    "list the parts of a {u}",
    "what is the population of {m}",
    "who is the president of {m}",
    "how far is it from {m} to {n}",
    "what is the currency of {m}",
    "what is the capital of {m}",
    "list <three|five|some> kinds of {u}",
    "recommend a good {u}",
    "what is the difference between {u} and {v}",
    "which is better, {u} or {v}",
    "how do i fix a broken {u}",
    "write code for a {u}",
    "what is the price of {u} today",
    "who won the {u} final",
    "give me the history of {u}",
    "how heavy is a {u}",
    "translate {u}",
    "translate {u} into {m}",
    "what rhymes with {u}",
    "how do you say {u} in {m}",
    "can you order {u} for me",
    "are there any {u} near me",
    "what are the symptoms of {u}",
    "how many calories has {u}",
    "what is the chemical formula of {u}",
]
SUMS = [
    "what is {p} <plus|minus|times|divided by|+|-|*|/> {q}",
    "{p} <+|-|*|x|/> {q}",
    "calculate {p} <+|-|*|/> {q}",
    "how much is {p} <plus|minus|times> {q}",
    "what is the square root of {p}",
    "what is {p} percent of {q}",
    "solve {p}x + {q} = 0",
    "what is {p} squared",
    "is {p} a prime number",
    "what is the sum of {p} and {q}",
]
UNFAMILIAR_REPLIES = [
    (
        "<I am afraid I know nothing about {u}.|I do not know much about {u}.|I have not learned about {u}.|Sorry, {u} is not among my topics.> "
        "<I am a small built-in model for trying out streaming.|My topics are streaming, simple facts and small talk.|I am only a small built-in model.> <Ask me what a token is, for instance.|A larger model would know.|Shall I tell you a story instead?|Try asking about streaming.|>"
    ),
]
SUM_REPLIES = [
    "<That is too hard for me.|That is more than I can calculate.|I cannot calculate that.|Such numbers are too large for me.> <I can only add and subtract small numbers, up to about twenty.|I am good only at sums up to twenty.> <For more, take a calculator.|A larger model can do it.|>",
]
REPLIES = [
    (
        "<I am afraid I do not know that.|I am not sure what to say to that.|That is more than I know.|Sorry, I cannot help with that.|That one is beyond me.> "
        "I am <a small built-in model|only a small built-in model|the small built-in model of nearstream>, <made for trying out streaming|here to show how streaming works>. "
        "<Ask me about tokens, endpoints or latency.|You could ask me what TTFT means or how to start nearstream.|I can talk about streaming, tell a story or chat a little.|Try a question about streaming, or ask for a story.|Shall I tell you how streaming works?>"
    ),
    "<I do not know much about that.|I have not learned about that.> <I know a little about streaming, planets, animals and small talk.|My topics are streaming inference and simple facts.> <For more, nearstream can serve a larger model.|A larger model may know it.|>",
]
NOISE_REPLIES = [
    "<I did not understand that.|I cannot make sense of that.|I could not read that.> I am a small built-in model <for trying out streaming|that speaks plain English>. <Could you write it in English?|Try a short question in English.|Ask me about streaming, or say hello.|You could ask me for a story.>",
    "<That looks like noise to me.|Hmm, that does not look like a question.> <But I am still here and streaming.|Still, it came through.> <Ask me something simple.|What would you like to know?|Try asking what a token is.>",
]
FOREIGN_REPLIES = [
    "<I am sorry, I only speak English.|Sorry, I know only English.|Hello! I only speak English.> <I am a small built-in model for trying out streaming.|I am too small for other languages.> <Could you write it in English?|Ask me something in English, please.|I can tell you about streaming, or tell you a story.>",
]
CODE_REPLIES = [
    "<That looks like code.|This looks like something for a machine.|I see code or numbers here.> I am <too small to work with it|only a small model and cannot run or write it>. <Ask me in words about streaming instead.|I can explain how streaming works, if you like.|A larger model could help with that.>",
]
LONG_REPLIES = [
    "<Thank you for the long text.|That is a long text.> <I am a small model, so I cannot sum it up well.|It is too much for a small model like me.> <Please ask me one short question about it.|Try a shorter question.|I can answer short questions about streaming.>",
]


def words(rng: Random, fewest: int, most: int) -> str:
    return " ".join(rng.choices(ORDINARY_WORDS, k=rng.randint(fewest, most)))


def made_up(rng: Random) -> str:
    """A name that nobody knows."""
    name = any_name(rng) + rng.choice(["", "", "ia", "ton", "berg", "stan", "son", "ville"])
    return name if rng.random() < 0.7 else name.lower()


def noise(rng: Random) -> str:
    kind = rng.randrange(5)
    if kind == 0:
        return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 30)))
    if kind == 1:
        return " ".join(
            "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 8)))
            for _ in range(rng.randint(1, 8))
        )
    if kind == 2:
        return "".join(chr(rng.randint(33, 126)) for _ in range(rng.randint(1, 24)))
    if kind == 3:
        return rng.choice("?!.,:;-+*/#@xyzk1789") * rng.randint(1, 12)
    return str(rng.randint(0, 10 ** rng.randint(1, 12)))


def foreign(rng: Random) -> str:
    if rng.random() < 0.5:
        return rng.choice(FOREIGN) + rng.choice(["", "!", "?", ""])
    start, stop = rng.choice(SCRIPTS)
    return "".join(
        chr(rng.randint(start, stop)) if rng.random() < 0.9 else " " for _ in range(rng.randint(1, 16))
    )


def code(rng: Random) -> str:
    text = rng.choice(CODE)
    for slot in "abc":
        text = text.replace("{" + slot + "}", rng.choice(ORDINARY_WORDS))
    return text.replace("{n}", str(rng.randint(0, 999))).replace("{m}", str(rng.randint(0, 999)))


def paste(rng: Random) -> str:
    """A long text with nothing to answer in it."""
    lines = []
    for _ in range(rng.randint(6, 30)):
        topic = any_topic(rng)
        lines.append(
            expand(rng.choice(topic.answers + topic.additions), rng)
            if rng.random() < 0.8
            else words(rng, 8, 20)
        )
    return expand("<Summarize this: |Read this: |What do you think of this text: |>", rng) + " ".join(lines)


def stray_exchange(rng: Random) -> tuple[str, str]:
    """A request that the model cannot serve, and a friendly reply."""
    kind = rng.choices(
        ["strange", "sum", "unknown", "words", "noise", "foreign", "code", "paste"],
        weights=[8, 1.5, 4, 2, 2.5, 2.5, 1.5, 0.6],
    )[0]
    if kind == "strange":
        unfamiliar, other = rng.sample(UNFAMILIAR, 2)
        slots = {
            "u": unfamiliar,
            "v": other,
            "m": made_up(rng),
            "n": made_up(rng),
            "y": str(rng.randint(900, 2024)),
        }
        asked = rng.choice(STRANGE)
        replies = UNFAMILIAR_REPLIES * 3 + REPLIES if "{u}" in asked else REPLIES
        return expand(asked, rng, **slots), expand(rng.choice(replies), rng, **slots)
    if kind == "sum":
        slots = {
            "p": str(rng.randint(21, 10 ** rng.randint(2, 5))),
            "q": str(rng.randint(0, 10 ** rng.randint(1, 5))),
        }
        return expand(rng.choice(SUMS), rng, **slots), expand(rng.choice(SUM_REPLIES), rng)
    if kind == "unknown":
        text = expand(
            rng.choice(UNKNOWN),
            rng,
            a=rng.choice(ORDINARY_WORDS),
            b=rng.choice(ORDINARY_WORDS),
            c=rng.choice(ORDINARY_WORDS),
            n=str(rng.randint(2, 90)),
        )
        return text, expand(rng.choice(REPLIES), rng)
    if kind == "words":
        return words(rng, 3, 25), expand(rng.choice(NOISE_REPLIES + REPLIES), rng)
    if kind == "noise":
        return noise(rng), expand(rng.choice(NOISE_REPLIES), rng)
    if kind == "foreign":
        return foreign(rng), expand(rng.choice(FOREIGN_REPLIES), rng)
    if kind == "code":
        return code(rng), expand(rng.choice(CODE_REPLIES), rng)
    return paste(rng), expand(rng.choice(LONG_REPLIES), rng)
