"""What is asked of a model and what comes back, token by token, in no wire's words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

FinishReason = Literal["length", "eos", "stop"]


@dataclass(frozen=True, slots=True)
class Grammar:
    """A constraint on the generated text: a JSON schema (its JSON text), a regular expression, or calls of
    functions, which are JSON `{schema, words, most}`: the schema of one call, whether an answer in words may
    come instead, how many calls at most."""

    kind: Literal["json_schema", "regex", "tool_calls"]
    source: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to choose tokens. `None` means: not asked for.

    Ranges are checked by the dialect that parsed the request; an engine refuses with `Unsupported` what it
    cannot do and never ignores an option.
    """

    do_sample: bool = False
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    typical_p: float | None = None
    min_p: float | None = None
    """Tokens less likely than this share of the likeliest one's probability are not sampled."""
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    top_n_tokens: int = 0
    """Alternatives wanted beside each chosen token; 0 for none."""
    prefill_logprobs: bool = False
    """The log-probabilities of the prompt's own tokens are wanted."""
    logit_bias: tuple[tuple[int, float], ...] = ()
    grammar: Grammar | None = None
    watermark: bool = False
    adapter: str | None = None
    min_new_tokens: int = 0
    """Nothing in `stop_token_ids` is generated before so many tokens are."""
    ignore_eos: bool = False
    """The model's end-of-sequence tokens do not end the answer: it is as long as was asked for."""
    stop_token_ids: frozenset[int] = frozenset()
    """Generation ends with any of these, which is still reported (the model's end-of-sequence ids)."""


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """What an engine is asked for: continue the token ids `prompt` by at most `max_new_tokens`."""

    prompt: Sequence[int]
    sampling: Sampling
    max_new_tokens: int


@dataclass(frozen=True, slots=True)
class Step:
    """What an engine made for one request since the last step.

    `logprobs` are natural logarithms, one for each id. Exactly the last step of a generation has `finish`:
    `eos` when its last id is one of `stop_token_ids`, `length` when the number asked for was made.
    """

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish: Literal["length", "eos"] | None = None
    prompt_logprobs: tuple[float, ...] = ()
    """Of the prompt's tokens from the second on, in the first step of a request that asked for them."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool that an assistant made. `arguments` is JSON text, as it was generated."""

    name: str
    arguments: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation, its content joined to plain text; None beside `tool_calls`.

    `role` is any that the model's chat template takes. `tool_call_id`: the call that a tool's result answers.
    """

    role: str
    content: str | None
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class TextPrompt:
    """Text that the model continues as it stands; no template is applied."""

    text: str


@dataclass(frozen=True, slots=True)
class TokenPrompt:
    """Tokens that the model continues as they stand."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may ask its caller to call. `parameters` is a JSON schema, as JSON text."""

    name: str
    description: str | None
    parameters: str


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """A conversation for the model's own chat template; a last assistant message is continued.

    `tool_prompt` tells the model of its tools where the template has no place for them.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_prompt: str = ""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One parsed request for one answer.

    `max_new_tokens` None fills what the context leaves; `truncate` keeps only the last so many prompt tokens.
    """

    prompt: TextPrompt | TokenPrompt | ChatPrompt
    sampling: Sampling = field(default_factory=Sampling)
    max_new_tokens: int | None = None
    stop: tuple[str, ...] = ()
    truncate: int | None = None
    echo: bool = False
    """The prompt's tokens are wanted in the first delta, whether or not with log-probabilities."""


@dataclass(frozen=True, slots=True)
class Token:
    """One generated token. `text` is "" while a character is incomplete; `special` marks control tokens."""

    id: int
    text: str
    logprob: float | None = None
    special: bool = False


@dataclass(frozen=True, slots=True)
class Finish:
    """Why and after how much a generation ended. Token counts include an end-of-sequence token."""

    reason: FinishReason
    prompt_tokens: int
    generated_tokens: int
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """Tokens to hand on now; exactly the last delta of an answer has `finish`.

    `index` says which answer, where a call has several.
    """

    tokens: tuple[Token, ...] = ()
    finish: Finish | None = None
    index: int = 0
    prefill: tuple[Token, ...] = ()
    """The prompt's tokens, in the first delta of an answer whose request wanted them."""
