"""Tokens of a Hugging Face model as they are generated, for handlers that bring transformers themselves."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any, Callable, Union

_Said = Union[list[str], BaseException, None]
_ENGINES = ("Accelerate", "DeepSpeed", "transformers-neuronx")
_PROMPTS = 1


class HFStreamer:
    """What `generate(streamer=…)` wants, and an iterator of what it puts: a list of one text for each step.

    The prompt, which transformers puts first, is left out. A generation that fails raises here.
    """

    def __init__(self, tokenizer: Any, **decode_kwargs: Any) -> None:
        self._tokenizer = tokenizer
        self._decode_kwargs = decode_kwargs
        self._prompted = False
        self._queue: queue.Queue[_Said] = queue.Queue()

    def put(self, value: Any) -> None:
        """The tokens of a step; at first those of the prompt."""
        if self._prompted:
            self._queue.put([self._tokenizer.decode(value, **self._decode_kwargs)])
        self._prompted = True

    def put_error(self, error: BaseException) -> None:
        """The generation failed."""
        self._queue.put(error)

    def end(self) -> None:
        """Nothing follows."""
        self._queue.put(None)

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        said = self._queue.get()
        if isinstance(said, BaseException):
            raise said
        if said is None:
            raise StopIteration
        return said


class StreamingUtils:
    """Starts a generation and gives its tokens."""

    DEFAULT_MAX_NEW_TOKENS = 50

    @staticmethod
    def use_hf_default_streamer(
        model: Any, tokenizer: Any, inputs: list[str], device: Any | None = None, **kwargs: Any
    ) -> HFStreamer:
        """`model.generate` in a thread of its own; one prompt at a time, as transformers has it."""
        if len(inputs) != _PROMPTS:
            raise ValueError(f"transformers streams one prompt at a time; {len(inputs)} came")
        tokens = tokenizer(inputs, return_tensors="pt")
        tokens = tokens if device is None else tokens.to(device)
        streamer = HFStreamer(tokenizer, skip_special_tokens=True)
        arguments = {"max_new_tokens": StreamingUtils.DEFAULT_MAX_NEW_TOKENS, **kwargs}

        def generate() -> None:
            try:
                model.generate(**tokens, streamer=streamer, **arguments)
            except Exception as error:  # noqa: BLE001 - raised again where the stream is read
                streamer.put_error(error)
            else:
                streamer.end()

        threading.Thread(target=generate, daemon=True).start()
        return streamer

    @staticmethod
    def get_stream_generator(execution_engine: str) -> Callable[..., HFStreamer]:
        """A function of model, tokenizer, inputs, device and options that gives the tokens of a model."""
        if execution_engine not in _ENGINES:
            raise ValueError(f"{execution_engine} cannot stream; the engines are {', '.join(_ENGINES)}")
        return StreamingUtils.use_hf_default_streamer
