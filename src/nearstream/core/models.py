"""What a model's files can be, for those who find models and those who run them."""

from __future__ import annotations

from typing import Literal

ModelFormat = Literal["ir", "gguf", "hf"]
"""OpenVINO's intermediate representation, a GGUF file, a Hugging Face checkpoint."""
