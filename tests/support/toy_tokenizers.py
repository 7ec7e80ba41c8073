"""Small tokenizers of each family, trained on the spot, and a model directory around one of them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    "the quick brown fox jumps over the lazy dog. The dog sleeps, the fox does not!",
    "hello world, hello there; streaming tokens one by one is what we do",
    "Grüße aus Köln, çok güzel, 日本語のテキスト, 😀 emoji 👩‍👩‍👧 and more\n\nlines\twith tabs",
] * 20
SPECIAL = ["<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>", "<|end|>"]
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message.role }}|>\n{{ message.content }}<|end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


@cache
def byte_level() -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, special_tokens=SPECIAL)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    tokenizer.add_tokens(["\n\n", "été "])
    return tokenizer


@cache
def llama_like() -> tokenizers.Tokenizer:
    """SentencePiece BPE with byte fallback, as Llama 2 and Mistral have it."""
    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    words = [text.replace(" ", "▁") for text in CORPUS[:2]]
    trainer = trainers.BpeTrainer(vocab_size=480, special_tokens=SPECIAL + fallback, initial_alphabet=["▁"])
    tokenizer.train_from_iterator(words, trainer)
    document = json.loads(tokenizer.to_str())
    document["added_tokens"] = [t for t in document["added_tokens"] if t["content"] in SPECIAL]
    return tokenizers.Tokenizer.from_str(json.dumps(document))


@cache
def unigram() -> tokenizers.Tokenizer:
    """Unigram with Metaspace, as T5 has it."""
    tokenizer = tokenizers.Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        CORPUS, trainers.UnigramTrainer(vocab_size=160, special_tokens=SPECIAL, unk_token="<unk>")
    )
    return tokenizer


FAMILIES = {"byte level": byte_level, "llama": llama_like, "unigram": unigram}


def write_model(directory: Path, *, template: str | None = TEMPLATE) -> Path:
    """What a model directory holds besides its weights."""
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = byte_level()
    tokenizer.save(str(directory / "tokenizer.json"))
    config = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "chat_template": template}
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    eos = [tokenizer.token_to_id("</s>"), tokenizer.token_to_id("<|end|>")]
    (directory / "generation_config.json").write_text(json.dumps({"eos_token_id": eos}))
    return directory
