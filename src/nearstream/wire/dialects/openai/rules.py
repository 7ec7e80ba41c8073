"""The rules of OpenAI's completions, in OpenAI's words, and the sampling that follows from them."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, field, replace

from nearstream.core.errors import Missing, OptionInvalid, TooManyTokens, Unsupported
from nearstream.core.generation import GenerationRequest, Sampling
from nearstream.core.ports import Settled
from nearstream.wire.dialects.completions.bodies import CompletionBody, biases, stops
from nearstream.wire.dialects.completions.requests import Options
from nearstream.wire.dialects.grammars import grammar
from nearstream.wire.dialects.limits import Limits

MAX_TEMPERATURE = 2.0
PENALTY_BOUND = 2.0


@dataclass(frozen=True, slots=True)
class OpenAITerms:
    """What a server tells this dialect: the model that it serves, its limits, its adapters by name."""

    model: str
    limits: Limits = field(default_factory=Limits)
    adapters: Container[str] = frozenset()
    """Looked at for each request: they come and go."""

    def require(self, model: str) -> None:
        """Raises Missing for a model that is not served."""
        if model != self.model and model not in self.adapters:
            raise Missing(f"the model `{model}` does not exist: this server has `{self.model}`")


@dataclass(frozen=True, slots=True)
class OpenAIRules:
    """See `completions.requests.Rules`."""

    terms: OpenAITerms

    @property
    def most_choices(self) -> int:
        return self.terms.limits.max_client_batch_size

    @property
    def default_max_new_tokens(self) -> int | None:
        """What the context leaves."""
        return None

    def check(self, options: Options) -> None:
        body = options.body
        if body.model is not None:
            self.terms.require(body.model)
        if isinstance(body, CompletionBody) and body.best_of not in {None, body.n or 1}:
            raise Unsupported("best_of", "nearstream", "ask for `n` choices")
        for broken, option, wanted in _rules(options, self.terms.limits):
            if broken:
                raise OptionInvalid(option, f"`{option}` must be {wanted}")
        if not options.shortest_text:
            raise OptionInvalid("prompt", "`prompt` must not be empty")

    def sampling(self, options: Options) -> Sampling:
        """Temperature 0 is greedy; anything else, absence too, samples."""
        body = options.body
        greedy = body.temperature == 0
        found = Sampling(
            do_sample=not greedy,
            temperature=None if greedy else body.temperature,
            top_p=None if greedy or body.top_p == 1 else body.top_p,
            repetition_penalty=body.repetition_penalty,
            frequency_penalty=body.frequency_penalty,
            presence_penalty=body.presence_penalty,
            logit_bias=biases(body),
            seed=body.seed,
            adapter=body.model if body.model in self.terms.adapters else None,
        )
        top = options.alternatives or 0
        return found if top == 1 and _chooses_the_top(options) else replace(found, top_n_tokens=top)

    def settle(self, request: GenerationRequest, options: Options, *, prompt_tokens: int) -> Settled:
        limits, text = self.terms.limits, isinstance(options.body, CompletionBody)
        prompt = "prompt" if text else "messages"
        if not prompt_tokens:
            raise OptionInvalid(prompt, f"`{prompt}` must not be empty")
        room = limits.max_total_tokens - prompt_tokens
        if prompt_tokens > limits.max_input_tokens or room <= 0:
            raise TooManyTokens(
                prompt,
                # litellm and langchain tell this error by "prompt is too long".
                f"the prompt is too long: the model takes up to {limits.max_input_tokens} tokens of "
                f"`{prompt}`, and {prompt_tokens} were sent",
            )
        wanted = request.max_new_tokens
        if wanted is not None and wanted > room:
            raise TooManyTokens(
                "max_tokens",
                f"the model's context is {limits.max_total_tokens} tokens, and {prompt_tokens + wanted} were "
                f"requested ({prompt_tokens} in `{prompt}`, {wanted} to generate): lower either",
            )
        sampling = replace(request.sampling, grammar=grammar(options.grammar))
        return Settled(room if wanted is None else wanted, sampling)


def _rules(options: Options, limits: Limits) -> Iterator[tuple[bool, str, str]]:
    """Whether a rule is broken, whose, and what it wants."""
    body = options.body
    top = "logprobs" if isinstance(body, CompletionBody) else "top_logprobs"
    yield not 0 <= (body.temperature or 0) <= MAX_TEMPERATURE, "temperature", "from 0 to 2"
    yield body.top_p is not None and not 0 < body.top_p <= 1, "top_p", "above 0 and up to 1"
    for name in ("frequency_penalty", "presence_penalty"):
        yield abs(getattr(body, name) or 0) > PENALTY_BOUND, name, "from -2 to 2"
    yield (
        body.repetition_penalty is not None and body.repetition_penalty <= 0,
        "repetition_penalty",
        "above 0",
    )
    yield options.max_new_tokens == 0, "max_tokens", "at least 1"
    yield len(stops(body)) > limits.max_stop_sequences, "stop", f"up to {limits.max_stop_sequences} strings"
    yield (body.seed or 0) >= 2**64, "seed", "below 2^64"
    yield (options.alternatives or 0) > limits.max_top_n_tokens, top, f"up to {limits.max_top_n_tokens}"


def _chooses_the_top(options: Options) -> bool:
    """Plain greedy search: the chosen token is its own one alternative."""
    body = options.body
    bent = body.repetition_penalty not in {None, 1.0} or body.frequency_penalty or body.presence_penalty
    return body.temperature == 0 and not (bent or body.logit_bias or options.grammar)
