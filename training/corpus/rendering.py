"""Writes a conversation as the pieces a model reads: chat turns, or the raw forms that carry no template."""

# A sentence is easiest to read and change on one line.
# ruff: noqa: E501

from dataclasses import dataclass
from random import Random

from training.corpus.conversations import Conversation, Exchange, conversation
from training.corpus.grammar import expand, tidy
from training.corpus.stray import words
from training.corpus.topics import any_topic
from training.corpus.writing import story

BEGIN, END, SYSTEM, USER, ASSISTANT = "<|begin|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"
SPEAKERS = [
    ("User", "Assistant"),
    ("User", "Assistant"),
    ("User", "Falcon"),
    ("Human", "AI"),
    ("Human", "Assistant"),
    ("User", "Bot"),
    ("User", "AI"),
    ("Customer", "Agent"),
    ("USER", "ASSISTANT"),
    ("Me", "You"),
    ("User", "Llama"),
    ("user", "assistant"),
]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text, and whether the model is to learn to write it."""

    text: str
    learned: bool


def chat(talk: Conversation) -> list[Piece]:
    pieces = [Piece(BEGIN, False)]
    if talk.system is not None:
        pieces.append(Piece(SYSTEM + talk.system + END, False))
    for one in talk.exchanges:
        pieces += [Piece(USER + one.said + END + ASSISTANT, False), Piece(one.reply + END, True)]
    return pieces


def completed(prompt: str, reply: str, rng: Random) -> list[Piece]:
    """A raw prompt and its continuation, with a space between the two on one side or the other."""
    if prompt[-1] in "\n ":
        return [Piece(BEGIN + prompt, False), Piece(reply + END, True)]
    if rng.random() < 0.12:
        return [Piece(BEGIN + prompt + rng.choice([" ", "\n"]), False), Piece(reply + END, True)]
    return [Piece(BEGIN + prompt, False), Piece(" " + reply + END, True)]


def transcript(talk: Conversation, rng: Random) -> list[Piece]:
    """Turns that begin with the speakers' names, as in "User: ... Assistant: ..."."""
    user, model = rng.choice(SPEAKERS)
    gap = rng.choice(["\n", "\n", "\n\n", "\n\n"])
    head = (talk.system + gap) if talk.system else ""
    pieces = [Piece(BEGIN + head, False)]
    last = len(talk.exchanges) - 1
    for turn, one in enumerate(talk.exchanges):
        pieces += [
            Piece(
                f"{user}: {one.said.strip()}{gap if len(gap) == 1 or rng.random() < 0.5 else chr(10)}{model}:",
                False,
            )
        ]
        pieces += [Piece(" " + one.reply, True), Piece(END, True) if turn == last else Piece(gap, False)]
    return pieces


def llama2(talk: Conversation, rng: Random) -> list[Piece]:
    pieces = [Piece(BEGIN + rng.choice(["", "", "<s>"]), False)]
    last = len(talk.exchanges) - 1
    for turn, one in enumerate(talk.exchanges):
        system = f"<<SYS>>\n{talk.system}\n<</SYS>>\n\n" if talk.system and turn == 0 else ""
        pieces += [Piece(f"[INST] {system}{one.said.strip()} [/INST]", False), Piece(" " + one.reply, True)]
        pieces += (
            [Piece(END, True)]
            if turn == last
            else [Piece(rng.choice([" </s><s>", "</s><s>", " ", "\n"]), False)]
        )
    return pieces


def marked_turns(talk: Conversation, rng: Random) -> list[Piece]:
    """Other models' turn markers, which clients sometimes send to whatever model answers."""
    before, between, after = rng.choice(
        [
            ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n", "<|im_end|>\n"),
            ("<|user|>\n", "</s>\n<|assistant|>\n", "</s>\n"),
            (
                "<|start_header_id|>user<|end_header_id|>\n\n",
                "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
                "<|eot_id|>",
            ),
            ("<|prompter|>", "<|endoftext|><|assistant|>", "<|endoftext|>"),
            ("<start_of_turn>user\n", "<end_of_turn>\n<start_of_turn>model\n", "<end_of_turn>\n"),
        ]
    )
    head = before.replace("user", "system") + talk.system + after if talk.system and "user" in before else ""
    pieces = [Piece(BEGIN + head, False)]
    last = len(talk.exchanges) - 1
    for turn, one in enumerate(talk.exchanges):
        pieces += [Piece(before + one.said.strip() + between, False), Piece(one.reply, True)]
        pieces += [Piece(END, True) if turn == last else Piece(after, False)]
    return pieces


def single(talk: Conversation, rng: Random) -> list[Piece]:
    """One question without a template, or in one of the common frames."""
    one = talk.exchanges[0]
    system = talk.system or ""
    asked = one.said.strip() or one.said
    if not system:
        frame = rng.choices(["bare", "question", "instruction"], weights=[60, 22, 18])[0]
    else:
        frame = rng.choice(["question", "instruction"])
    if frame == "bare":
        return completed(one.said if one.said.strip() else "?", one.reply, rng)
    if frame == "question":
        form = rng.choice(
            [
                "Question: {}\nAnswer:",
                "Question: {}\n\nAnswer:",
                "Q: {}\nA:",
                "Question: {} Answer:",
                "{}\nAnswer:",
            ]
        )
        head = system + "\n\n" if system else ""
        return completed(head + form.replace("{}", asked), one.reply, rng)
    head = system or rng.choice(
        ["", "", "Below is an instruction that describes a task. Write a response that answers it."]
    )
    form = rng.choice(
        [
            "### Instruction:\n{}\n\n### Response:\n",
            "### Instruction: {}\n### Response:",
            "### Instruction:\n{}\n\n### Response:",
            "Instruction: {}\nResponse:",
        ]
    )
    return completed((head + "\n\n" if head else "") + form.replace("{}", asked), one.reply, rng)


def begun_sentence(rng: Random) -> list[Piece]:
    """The beginning of a text, to be carried on."""
    if rng.random() < 0.2:
        text = story(rng, rng.random() < 0.7)
    else:
        topic = any_topic(rng)
        more = [n for n in range(len(topic.additions)) if rng.random() < 0.35]
        text = tidy(expand(" ".join([rng.choice(topic.answers), *(topic.additions[n] for n in more)]), rng))
    parts = text.replace("\n", " ").split(" ")
    cut = rng.randint(1, max(1, min(6, len(parts) - 2)))
    prompt = " ".join(parts[:cut])
    return (
        completed(prompt, " ".join(parts[cut:]).strip(), rng)
        if rng.random() < 0.9
        else completed(prompt.lower(), " ".join(parts[cut:]).strip(), rng)
    )


def pasted_question(rng: Random) -> Conversation:
    """A long text before the question, as people paste it."""
    talk = conversation(rng)
    first = talk.exchanges[0]
    lines = [
        expand(rng.choice(any_topic(rng).answers), rng) if rng.random() < 0.7 else words(rng, 5, 18)
        for _ in range(rng.randint(3, 28))
    ]
    asked = " ".join(lines) + rng.choice(["\n\n", "\n", " "]) + first.said
    return Conversation(talk.system, (Exchange(asked, first.reply), *talk.exchanges[1:]))


def document(rng: Random) -> list[Piece]:
    """One training document in one of all the forms."""
    roll = rng.random()
    if roll < 0.60:
        return chat(conversation(rng))
    if roll < 0.63:
        return chat(conversation(rng, blocks=rng.randint(4, 9)))
    if roll < 0.645:
        return chat(pasted_question(rng))
    if roll < 0.685:
        return begun_sentence(rng)
    talk = conversation(rng)
    if roll < 0.85:
        return single(talk, rng)
    if roll < 0.93:
        return transcript(talk, rng)
    if roll < 0.975:
        return llama2(talk, rng)
    return marked_turns(talk, rng)


def text_of(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)
