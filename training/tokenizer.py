"""Trains the byte-level BPE tokenizer on the corpus and writes it with its chat template."""

import argparse
import json
from itertools import islice
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from training.corpus.documents import training_documents
from training.corpus.rendering import ASSISTANT, BEGIN, END, SYSTEM, USER

VOCABULARY = 4096
CONTEXT_TOKENS = 2048
SPECIAL = [BEGIN, END, SYSTEM, USER, ASSISTANT]

CHAT_TEMPLATE = (
    "{{- '<|begin|>' }}"
    "{%- for message in messages %}"
    "{%- if message['role'] not in ['system', 'user', 'assistant'] %}"
    "{{- raise_exception('The role must be system, user or assistant, not ' ~ message['role']) }}"
    "{%- endif %}"
    "{{- '<|' ~ message['role'] ~ '|>' }}"
    "{%- if message['content'] is string %}"
    "{{- message['content'] }}"
    "{%- else %}"
    "{%- for part in message['content'] %}"
    "{%- if part['type'] != 'text' %}"
    "{{- raise_exception('This model reads only text, not ' ~ part['type']) }}"
    "{%- endif %}"
    "{{- part['text'] }}"
    "{%- endfor %}"
    "{%- endif %}"
    "{{- '<|end|>' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|assistant|>' }}{%- endif %}"
)

CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "model_max_length": CONTEXT_TOKENS,
    "add_bos_token": True,
    "bos_token": BEGIN,
    "eos_token": END,
    "pad_token": END,
    "clean_up_tokenization_spaces": False,
    "chat_template": CHAT_TEMPLATE,
}


def train(seed: int, documents: int) -> Tokenizer:
    """A tokenizer whose alphabet holds all bytes, so that any text survives the round trip."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = (
        "".join(piece.text for piece in pieces) for pieces in islice(training_documents(seed), documents)
    )
    plain = (text.replace(END, "\n").replace(BEGIN, "") for text in texts)
    tokenizer.train_from_iterator(plain, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A",
        pair=f"{BEGIN} $A {BEGIN} $B",
        special_tokens=[(BEGIN, tokenizer.token_to_id(BEGIN))],
    )
    return tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--documents", type=int, default=60_000)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    train(arguments.seed, arguments.documents).save(str(arguments.out / "tokenizer.json"))
    (arguments.out / "tokenizer_config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")


if __name__ == "__main__":
    main()
