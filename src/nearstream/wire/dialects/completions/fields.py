"""What becomes of every field of a body: honoured, accepted as a hint, or refused by name.

The names are those of OpenAI's API and of servers that add to it (vLLM, TGI).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from nearstream.core.errors import OptionInvalid, Unsupported

HINTS: Mapping[str, str] = {
    "user": "names the end user, to nobody here",
    "safety_identifier": "names the end user, to nobody here",
    "metadata": "labels what OpenAI stores; nothing is stored here",
    "store": "OpenAI keeps the completion; nothing is stored here",
    "service_tier": "there is one tier",
    "prompt_cache_key": "prefixes of prompts are cached without it",
    "prompt_cache_options": "prefixes of prompts are cached without it",
    "prompt_cache_retention": "prefixes of prompts are cached without it",
    "reasoning_effort": "the model's own templates know no degrees",
    "verbosity": "the model's own templates know no degrees",
    "prediction": "makes an answer faster elsewhere, never another one",
    "guided_decoding_backend": "there is one",
    "add_generation_prompt": "the template gets it unless the last turn is the assistant's",
    "request_id": "send the header x-request-id",
    "priority": "send the header x-nearstream-priority",
}
"""Fields that are accepted though they change nothing, and why they do not."""
REFUSED: Mapping[str, str] = {
    "functions": "send `tools`",
    "function_call": "send `tool_choice`",
    "audio": "the model writes text only",
    "modalities": "the model writes text only",
    "moderation": "there is none",
    "web_search_options": "there is no search",
    "guided_grammar": "send `guided_json`, `guided_regex` or `guided_choice`",
    "guided_json_object": 'send `response_format` of type "json_object"',
    "guided_whitespace_pattern": "a blank is one space at most",
    "structural_tag": "send `tools`",
    "chat_template": "the model's own is used",
    "chat_template_kwargs": "",
    "documents": "send them as text",
    "mm_processor_kwargs": "the model reads text only",
    "continue_final_message": "end with the assistant's turn: it is continued",
    "add_special_tokens": "a template writes them itself, a text begins with them",
    "use_beam_search": "ask for `n` choices",
    "length_penalty": "it is for beam search",
    "early_stopping": "it is for beam search",
    "include_stop_str_in_output": "",
    "skip_special_tokens": "special tokens are no text",
    "spaces_between_special_tokens": "special tokens are no text",
    "return_tokens_as_token_ids": "",
    "return_token_ids": "",
    "truncate_prompt_tokens": "shorten the prompt",
    "prompt_logprobs": "send `echo` and `logprobs` to /v1/completions",
    "allowed_token_ids": "send a grammar: `guided_choice`, `guided_regex`",
    "bad_words": "",
    "logits_processors": "",
    "vllm_xargs": "",
    "kv_transfer_params": "",
    "no_repeat_ngram_size": "send `frequency_penalty`",
    "typical_p": "send it to /generate",
    "watermark": "",
    "suffix": "the model continues text, it does not fill gaps",
}
"""Fields that would change the answer, and what to do instead."""
_NOTHING: tuple[object, ...] = (None, False, [], {}, "")
_NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "modalities": (["text"],),
    "function_call": ("none", "auto"),
    "length_penalty": (1, 1.0),
    "skip_special_tokens": (True,),
    "spaces_between_special_tokens": (True,),
    "add_special_tokens": (True,),
    "truncate_prompt_tokens": (-1,),
    "no_repeat_ngram_size": (0,),
    "typical_p": (1, 1.0),
}
"""Values of refused fields, beside nothing, that ask for what is done anyway."""
_MEANS_SOMETHING = frozenset({"skip_special_tokens", "add_special_tokens", "spaces_between_special_tokens"})
"""Of these `false` asks for something."""


def check_fields(
    body: Mapping[str, msgspec.Raw],
    honoured: Iterable[str],
    *,
    strict: bool,
    refused: Mapping[str, str] = REFUSED,
) -> None:
    """Raises Unsupported for a field that asks for what is not done.

    With `strict` a name that is not known raises OptionInvalid; without, it is ignored as TGI does.
    """
    for name in body.keys() - set(honoured) - HINTS.keys():
        if name in refused:
            if not _neutral(name, msgspec.json.decode(body[name])):
                raise Unsupported(name, "nearstream", refused[name])
        elif strict:
            raise OptionInvalid(name, f"unknown field `{name}`: no field of this API has this name")


def _neutral(name: str, value: object) -> bool:
    if value is False and name in _MEANS_SOMETHING:
        return False
    return any(
        value is same or (value == same and type(value) is type(same))
        for same in (*_NOTHING, *_NEUTRAL.get(name, ()))
    )
