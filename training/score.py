"""Scores the exported IR: held-out loss in OpenVINO, and its answers to fixed prompts in openvino-genai."""

import argparse
import json
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import openvino as ov
import openvino_genai as genai
from tokenizers import Tokenizer

from training.checks import Check, every_check
from training.corpus.documents import HELD_OUT_SHARE, held_out_documents

END_TOKEN = 1
HELD_OUT_SEED = 1_000_003
LONGEST_ANSWER_TOKENS = 320


def held_out_loss(model: Path, tokenizer: Tokenizer, documents: int) -> tuple[float, int]:
    """The mean loss per answer token, and over how many tokens."""
    request = ov.Core().compile_model(model / "openvino_model.xml", "CPU").create_infer_request()
    total, count = 0.0, 0
    for pieces in held_out_documents(HELD_OUT_SEED, documents):
        tokens, learned = [], []
        for piece in pieces:
            ids = tokenizer.encode(piece.text, add_special_tokens=False).ids
            tokens += ids
            learned += [piece.learned] * len(ids)
        tokens, learned = tokens[:2048], learned[:2048]
        length = len(tokens)
        request.reset_state()
        inputs = {
            "input_ids": np.array([tokens]),
            "attention_mask": np.ones((1, length), np.int64),
            "position_ids": np.arange(length)[None],
            "beam_idx": np.zeros(1, np.int32),
        }
        scores = request.infer(inputs)["logits"][0, :-1].astype(np.float64)
        scores -= scores.max(-1, keepdims=True)
        loss = np.log(np.exp(scores).sum(-1)) - scores[np.arange(length - 1), tokens[1:]]
        chosen = np.array(learned[1:])
        total, count = total + loss[chosen].sum(), count + int(chosen.sum())
    return total / count, count


def pipeline(model: Path) -> genai.ContinuousBatchingPipeline:
    scheduler = genai.SchedulerConfig()
    scheduler.cache_size = 1
    scheduler.enable_prefix_caching = True
    return genai.ContinuousBatchingPipeline(str(model), scheduler, "CPU", {})


def answers(
    engine: genai.ContinuousBatchingPipeline, prompts: list[list[int]], temperature: float, seed: int
) -> list[list[int]]:
    handles = []
    for number, prompt in enumerate(prompts):
        config = genai.GenerationConfig()
        config.max_new_tokens = LONGEST_ANSWER_TOKENS
        config.eos_token_id = END_TOKEN
        if temperature:
            config.do_sample, config.temperature, config.rng_seed = True, temperature, seed + number
        handles.append(engine.add_request(number, ov.Tensor(np.array([prompt])), config))
    while engine.has_non_finished_requests():
        engine.step()
    return [list(handle.read_all()[0].generated_ids) for handle in handles]


def repeats(text: str) -> bool:
    """Whether the same eight words come three times."""
    words = text.split()
    runs = [" ".join(words[n : n + 8]) for n in range(len(words) - 7)]
    return any(runs.count(run) > 2 for run in set(runs))


def fault(check: Check, text: str, stopped: bool) -> str:
    """What is wrong with an answer, or an empty string."""
    count = len(text.split())
    if not stopped:
        return "did not stop"
    if not check.fewest_words <= count <= check.most_words:
        return f"{count} words"
    if "\ufffd" in text or sum(map(str.isascii, text)) < len(text):
        return "not plain text"
    if repeats(text):
        return "repeats itself"
    if not re.search(check.wanted, text, re.IGNORECASE | re.DOTALL):
        return "off topic"
    return ""


def judge(
    engine: genai.ContinuousBatchingPipeline, tokenizer: Tokenizer, temperature: float, seed: int, show: bool
) -> dict[str, list[bool]]:
    checks = every_check()
    prompts = [tokenizer.encode(check.prompt, add_special_tokens=False).ids for check in checks]
    passed, everything = defaultdict(list), []
    for check, ids in zip(checks, answers(engine, prompts, temperature, seed), strict=True):
        stopped = (bool(ids) and ids[-1] == END_TOKEN) or len(ids) < LONGEST_ANSWER_TOKENS
        text = tokenizer.decode([token for token in ids if token != END_TOKEN]).strip()
        wrong = fault(check, text, stopped)
        passed[check.group].append(not wrong)
        everything.append(not wrong)
        if wrong or show:
            print(f"[{check.group}] {wrong or 'ok'}: {check.prompt[-100:]!r}\n    {text[:400]!r}")
    return {**passed, "all": everything}


def table(greedy: dict[str, list[bool]], sampled: dict[str, list[bool]]) -> list[str]:
    lines = ["| prompts | greedy | temperature 0.7 |", "|---|---|---|"]
    for group in greedy:
        columns = (greedy[group], sampled[group])
        lines.append(
            f"| {group} | " + " | ".join(f"{sum(column)} of {len(column)}" for column in columns) + " |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--samples", type=int, default=3, help="sampled passes")
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--show", action="store_true", help="print every answer, not only the faulty ones")
    parser.add_argument("--report", type=Path, help="where to write the figures as JSON")
    arguments = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(arguments.model / "tokenizer.json"))
    loss, tokens = held_out_loss(arguments.model, tokenizer, arguments.documents)
    engine = pipeline(arguments.model)
    greedy = judge(engine, tokenizer, 0, arguments.seed, arguments.show)
    sampled = defaultdict(list)
    for turn in range(arguments.samples):
        for group, passed in judge(engine, tokenizer, 0.7, arguments.seed + 1000 * turn, False).items():
            sampled[group] += passed
    lines = table(greedy, sampled)
    print("\n".join(lines))
    print(f"held-out loss {loss:.4f}, perplexity {np.exp(loss):.3f}, over {tokens} answer tokens")
    if arguments.report:
        rate = {
            name: sum(passed["all"]) / len(passed["all"])
            for name, passed in (("greedy", greedy), ("sampled", sampled))
        }
        figures = {
            "held_out_loss": loss,
            "held_out_perplexity": float(np.exp(loss)),
            "held_out_tokens": tokens,
            "held_out_share": HELD_OUT_SHARE,
        }
        arguments.report.write_text(
            json.dumps({**figures, "pass_rate": rate, "table": lines}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
