"""Trains the built-in model from the corpus within a budget of minutes, and measures its held-out loss."""

import argparse
import ctypes
import json
import math
import queue
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from training.batches import ROW_TOKENS, batches, rows
from training.corpus.documents import held_out_documents
from training.model import Llama, Shape, documents_mask

HELD_OUT_SEED = 1_000_003
WARM_UP_STEPS = 60
CHECKPOINT_EVERY_S = 240
LOG_EVERY_STEPS = 20
PART_TOKENS = 1024


def learning_rate(step: int, spent: float, peak: float) -> float:
    """Warm-up by steps, then a cosine over the share of the time budget that is spent."""
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    return peak * warm * max(0.01, 0.5 * (1 + math.cos(math.pi * min(spent, 1.0))))


def optimizers(model: Llama) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, in two halves that run side by side; AdamW for the rest."""
    matrices = [weight for weight in model.layers.parameters() if weight.dim() == 2]
    inside = {id(weight) for weight in matrices}
    others = [weight for weight in model.parameters() if id(weight) not in inside]
    halves = (matrices[: len(matrices) // 2], matrices[len(matrices) // 2 :])
    muon = [
        torch.optim.Muon(half, lr=1.0, momentum=0.95, weight_decay=0.02, adjust_lr_fn="match_rms_adamw")
        for half in halves
    ]
    return [*muon, torch.optim.AdamW(others, lr=1.0, betas=(0.9, 0.97), weight_decay=0.0)]


def keep_freed_memory() -> None:
    """Tells glibc to reuse large blocks: mapping them anew for every tensor halves the speed."""
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3
    libc = ctypes.CDLL(None)
    for option, size_bytes in ((trim_threshold, 2**31 - 1), (top_pad, 2**28), (mmap_threshold, 2**31 - 1)):
        libc.mallopt(option, size_bytes)


def losses(model: Llama, tokens: Tensor, weights: Tensor, documents: Tensor) -> tuple[Tensor, Tensor]:
    """The cross entropy and the weight of every target that counts."""
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model(tokens[:, :-1], documents_mask(documents[:, :-1]))
        # A target counts only inside the document that its input belongs to.
        worth = weights[:, 1:] * (documents[:, 1:] == documents[:, :-1])
        counts = worth > 0
        scores = model.scores(hidden[counts])
    return functional.cross_entropy(scores.float(), tokens[:, 1:][counts], reduction="none"), worth[counts]


class Team:
    """Threads of one core each that take parts of a batch as they become free.

    Other work on the machine slows one thread down and the others take over its parts; threads inside
    the operators would all wait for the slowest at every operator instead.
    """

    def __init__(self, model: Llama, threads: int) -> None:
        self.pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
        self.model = model
        self.twins = queue.SimpleQueue()
        self.members = [self.twin() for _ in range(threads)]
        for member in self.members:
            self.twins.put(member)

    def twin(self) -> Llama:
        """A model with the same weights in memory, but gradients of its own."""
        twin = Llama(self.model.shape)
        for own, shared in zip(twin.parameters(), self.model.parameters(), strict=True):
            own.data = shared.data
        return twin

    def part(self, tokens: Tensor, weights: Tensor, documents: Tensor, total: float) -> tuple[float, int]:
        twin = self.twins.get()
        try:
            loss, worth = losses(twin, tokens, weights, documents)
            ((loss * worth).sum() / total).backward()
            answers = worth == 1
            return loss.detach()[answers].sum().item(), int(answers.sum())
        finally:
            self.twins.put(twin)

    def gradients(self, batch: list[Tensor]) -> float:
        """Leaves the gradients of the batch in the model, and returns the mean loss per answer token."""
        tokens, weights, documents = batch
        total = (weights[:, 1:] * (documents[:, 1:] == documents[:, :-1])).sum().item()
        rows_together = max(1, PART_TOKENS // (tokens.shape[1] - 1))
        parts = zip(*(half.split(rows_together) for half in batch), strict=True)
        results = list(self.pool.map(lambda part: self.part(*part, total), parts))
        for weight, *copies in zip(
            self.model.parameters(), *(member.parameters() for member in self.members), strict=True
        ):
            found = [copy.grad for copy in copies if copy.grad is not None]
            weight.grad = found[0]
            for other in found[1:]:
                weight.grad += other
            for copy in copies:
                copy.grad = None
        return sum(loss for loss, _ in results) / sum(count for _, count in results)

    def step(self, chosen: list[torch.optim.Optimizer]) -> None:
        list(self.pool.map(lambda optimizer: optimizer.step(), chosen))


@torch.no_grad()
def held_out_loss(model: Llama, tokenizer_file: Path, documents: int) -> float:
    """The mean loss per answer token on documents that training never sees."""
    source = held_out_documents(HELD_OUT_SEED, documents)
    total, count = 0.0, 0.0
    for row in rows(source, Tokenizer.from_file(str(tokenizer_file)), ROW_TOKENS * 2):
        loss, worth = losses(
            model,
            *(torch.from_numpy(np.array(part))[None] for part in (row.tokens, row.weights, row.documents)),
        )
        answers = worth == 1
        total, count = total + loss[answers].sum().item(), count + answers.sum().item()
    return total / count


def train(model: Llama, arguments: argparse.Namespace) -> dict[str, float]:
    out, tokenizer_file = arguments.out, arguments.out / "tokenizer.json"
    chosen = optimizers(model)
    step, seen, spent_s = 0, 0, 0.0
    if arguments.resume:
        saved = torch.load(out / "checkpoint.pt", weights_only=False)
        model.load_state_dict(saved["model"])
        for optimizer, state in zip(chosen, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        step, seen, spent_s = saved["step"], saved["seen"], saved["spent_s"]
    budget_s = arguments.minutes * 60
    began = saved_at = last = time.monotonic()
    before_s, recent, recent_tokens = spent_s, [], 0
    team = Team(model, arguments.threads)
    log = (out / "train.log").open("a")
    # A resumed run draws other documents than the ones it has seen.
    for batch in batches(tokenizer_file, arguments.seed * 1000 + 2 * step, arguments.batch_tokens):
        rate = learning_rate(step, spent_s / budget_s, arguments.rate)
        loss = team.gradients([torch.from_numpy(array) for array in batch])
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in chosen:
            for group in optimizer.param_groups:
                group["lr"] = rate
        team.step(chosen)
        recent.append(loss)
        step, seen, recent_tokens = step + 1, seen + int((batch[2] > 0).sum()), recent_tokens + batch[0].size
        now = time.monotonic()
        spent_s = before_s + now - began
        finished = spent_s >= budget_s
        if step % LOG_EVERY_STEPS == 0 or finished:
            pace = recent_tokens / (now - last)
            progress = f"step {step} minutes {spent_s / 60:.1f} tokens {seen / 1e6:.2f}M"
            print(
                f"{progress} loss {np.mean(recent):.4f} rate {rate:.5f} tok/s {pace:.0f}",
                file=log,
                flush=True,
            )
            recent, recent_tokens, last = [], 0, now
        if now - saved_at > CHECKPOINT_EVERY_S or finished:
            state = {
                "model": model.state_dict(),
                "optimizers": [one.state_dict() for one in chosen],
                "step": step,
                "seen": seen,
                "spent_s": spent_s,
            }
            torch.save(state, out / "checkpoint.part")
            (out / "checkpoint.part").rename(out / "checkpoint.pt")
            saved_at = now
        if finished:
            return {"steps": step, "tokens_seen": seen, "minutes": round(spent_s / 60, 1)}
    raise AssertionError("the stream of batches is endless")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="a folder with tokenizer.json")
    parser.add_argument("--minutes", type=float, default=70)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--batch-tokens", type=int, default=6144)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--held-out", type=int, default=2000, help="documents to measure the loss on")
    parser.add_argument("--resume", action="store_true")
    arguments = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    model = Llama(Shape())
    report = train(model, arguments)
    torch.save(model.state_dict(), arguments.out / "model.pt")
    loss = held_out_loss(model, arguments.out / "tokenizer.json", arguments.held_out)
    parameters = sum(weight.numel() for weight in model.parameters())
    report |= {
        "parameters": parameters,
        "held_out_loss": round(loss, 4),
        "held_out_perplexity": round(math.exp(loss), 3),
    }
    report |= {"seed": arguments.seed, "threads": arguments.threads, "shape": asdict(model.shape)}
    (arguments.out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
