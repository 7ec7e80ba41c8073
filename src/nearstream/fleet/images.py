"""Which server a container image URI asks for: Hugging Face's TGI, AWS's LMI, or a user's own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Persona = Literal["tgi", "lmi", "own"]

_TGI_REPOSITORY: Final = re.compile(r"(^|/)(huggingface-pytorch-tgi-inference|text-generation-inference)$")
_TGI_TAG: Final = re.compile(r"tgi(\d+\.\d+\.\d+)")
_TGI_OWN_TAG: Final = re.compile(r"^v?(\d+\.\d+\.\d+)")
_LMI_REPOSITORY: Final = re.compile(r"(^|/)djl-(inference|serving)$")
_LMI_TAG: Final = re.compile(r"^(\d+\.\d+\.\d+)(-(deepspeed|lmi|fastertransformer|tensorrtllm|neuronx)|$)")


@dataclass(frozen=True, slots=True)
class Image:
    """What an image URI names. `version` is the server's, "" where the tag does not name it."""

    persona: Persona
    version: str = ""


def parse(uri: str) -> Image:
    """Read `uri`; the registry's account and region do not matter, and neither does a digest."""
    name, _, _ = uri.partition("@")
    repository, _, tag = name.rpartition(":")
    if not repository or "/" in tag:
        repository, tag = name, ""
    if _TGI_REPOSITORY.search(repository):
        found = _TGI_TAG.search(tag) or _TGI_OWN_TAG.match(tag)
        return Image("tgi", found[1] if found else "")
    if _LMI_REPOSITORY.search(repository):
        found = _LMI_TAG.match(tag)
        return Image("lmi", found[1] if found else "")
    return Image("own")
