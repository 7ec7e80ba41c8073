"""Writes the model card from the figures that training and scoring have measured."""

import argparse
import json
from pathlib import Path

TEMPLATE = Path(__file__).parent / "card.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", type=Path, required=True, help="report.json of training.train")
    parser.add_argument("--score", type=Path, required=True, help="the JSON of training.score")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    report = json.loads(arguments.report.read_text())
    score = json.loads(arguments.score.read_text())
    shape = report["shape"]
    figures = {
        **shape,
        "head_width": shape["width"] // shape["heads"],
        "parameters": report["parameters"],
        "minutes": round(report["minutes"]),
        "threads": report["threads"],
        "tokens_seen": report["tokens_seen"] / 1e6,
        "steps": report["steps"],
        "seed": report["seed"],
        "held_out_loss": score["held_out_loss"],
        "perplexity": score["held_out_perplexity"],
        "held_out_tokens": score["held_out_tokens"],
        "held_out_share": score["held_out_share"],
        "greedy": score["pass_rate"]["greedy"],
        "sampled": score["pass_rate"]["sampled"],
        "table": "\n".join(score["table"]),
    }
    arguments.out.write_text(TEMPLATE.read_text().format(**figures))


if __name__ == "__main__":
    main()
