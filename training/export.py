"""Writes the trained weights as a Hugging Face directory and as OpenVINO IR, and compares the two."""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from training.model import Llama, Shape, documents_mask, hugging_face_names

BOS, EOS = 0, 1
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def config(shape: Shape) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "pad_token_id": EOS,
        "head_dim": shape.head_width,
        "hidden_act": "silu",
        "hidden_size": shape.width,
        "initializer_range": 0.02,
        "intermediate_size": shape.hidden,
        "max_position_embeddings": shape.context,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.kv_heads,
        "pretraining_tp": 1,
        "rms_norm_eps": shape.epsilon,
        "rope_scaling": None,
        "rope_theta": shape.rope_theta,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vocab_size": shape.vocabulary,
    }


GENERATION = {
    "bos_token_id": BOS,
    "eos_token_id": EOS,
    "pad_token_id": EOS,
    "do_sample": False,
}


def write_checkpoint(model: Llama, tokenizer: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    weights = {
        name: weight.to(torch.bfloat16).contiguous() for name, weight in hugging_face_names(model).items()
    }
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    (out / "config.json").write_text(json.dumps(config(model.shape), indent=2) + "\n")
    (out / "generation_config.json").write_text(json.dumps(GENERATION, indent=2) + "\n")
    for name in TOKENIZER_FILES:
        shutil.copy(tokenizer / name, out / name)


def check_checkpoint(model: Llama, out: Path) -> None:
    """The same tokens must give the same logits in transformers."""
    from transformers import AutoModelForCausalLM

    theirs = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32).eval()
    ours = Llama(model.shape).eval()
    ours.load_state_dict(
        {name: weight.to(torch.bfloat16).float() for name, weight in model.state_dict().items()}
    )
    tokens = torch.randint(0, model.shape.vocabulary, (2, 300), generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        gap = (
            (theirs(tokens).logits - ours.scores(ours(tokens, documents_mask(torch.zeros_like(tokens)))))
            .abs()
            .max()
            .item()
        )
    if gap > 1e-3:
        raise SystemExit(f"transformers should compute the same logits, but they differ by {gap}")
    print(f"transformers agrees: the logits differ by at most {gap:.1e}")


def write_ir(out: Path) -> None:
    from optimum.exporters.openvino import main_export

    with tempfile.TemporaryDirectory() as folder:
        main_export(
            str(out),
            folder,
            task="text-generation-with-past",
            stateful=True,
            ov_config=ir_config(),
            convert_tokenizer=False,
        )
        for name in ("openvino_model.xml", "openvino_model.bin"):
            shutil.copy(Path(folder) / name, out / name)


def write_tokenizer_ir(out: Path) -> None:
    """The tokenizer as OpenVINO sees it: the engine needs it to hold answers to a grammar."""
    from openvino import save_model
    from openvino_tokenizers import convert_tokenizer
    from transformers import AutoTokenizer

    tokenizer, detokenizer = convert_tokenizer(AutoTokenizer.from_pretrained(out), with_detokenizer=True)
    save_model(tokenizer, out / "openvino_tokenizer.xml")
    save_model(detokenizer, out / "openvino_detokenizer.xml")


def ir_config():
    from optimum.intel import OVConfig

    return OVConfig(dtype="fp16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="model.pt or checkpoint.pt")
    parser.add_argument("--tokenizer", type=Path, required=True, help="the folder with tokenizer.json")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    state = torch.load(arguments.weights, weights_only=True, map_location="cpu")
    model = Llama(Shape()).eval()
    model.load_state_dict(state.get("model", state))
    write_checkpoint(model, arguments.tokenizer, arguments.out)
    check_checkpoint(model, arguments.out)
    write_ir(arguments.out)
    write_tokenizer_ir(arguments.out)


if __name__ == "__main__":
    main()
