"""What a run of the paper's size takes, by stage: the table of docs/planning.md.

    python benchmarks/planning.py                            590,440 samples, a policy and a GRM of 7 billion parameters
    python benchmarks/planning.py --samples 59044000 --gpus 64

The work is counted as `rlmec run --dry-run` counts it. What it takes on a GPU is not measured here: the rates are
options, and their defaults are assumptions.
"""

import argparse
from collections.abc import Iterator

from flows.config import load_config
from flows.plan import Sizes, estimate, samples, taught, wrong

PARAMETERS = 6_738_415_616  # LLaMA 2 7B
BENCHMARK_PROBLEMS = 7_589
PROMPT, SOLUTION = 65, 96  # mean tokens on GSM8K, with a vocabulary of 32,000: docs/planning.md
BYTES_A_TOKEN = {"sample": 4, "rewrite": 4, "align": 2, "score": 12}  # of Parquet, rounded up from `tiny`'s tables
TERA, GIGA, HOUR = 1e12, 1e9, 3600


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = made.add_argument
    add("--samples", type=int, default=590_440)
    add("--gpus", type=int, default=8)
    add("--tflops", type=float, default=400, help="of a GPU in training and scoring, in TFLOP/s (default: 400)")
    add("--decoded", type=float, default=2500, help="tokens a second that a GPU generates (default: 2500)")
    add("--price", type=float, default=2.5, help="of a GPU hour (default: 2.5)")
    add("--teacher-price", type=float, default=3.0, help="of a million of a teacher's tokens (default: 3)")
    return made


def rows(options: argparse.Namespace) -> Iterator[tuple[str, str, float, float, float]]:
    """(stage, what it goes through, million tokens, GPU hours, GB of tables)"""
    config = load_config("paper-math", "rlmec-paper", sets=["policy.checkpoint=PATH"])
    problems = options.samples // config.sample.samples_per_problem
    sizes = Sizes(
        problems, benchmark_problems=BENCHMARK_PROBLEMS, prompt=PROMPT, solution=SOLUTION, parameters=PARAMETERS
    )
    count, asked = samples(config, sizes), BENCHMARK_PROBLEMS
    completions = {
        "sample": count,
        "rewrite": 2 * wrong(config, sizes),
        "evaluate-before": asked,
        "evaluate-after": asked,
    }
    for stage in ("evaluate-before", "sample", "teach", "train_reward_model", "rewrite", "align", "score",
                  "train_policy", "evaluate-after"):  # fmt: skip
        work = estimate(stage, config, sizes)
        tokens = taught(config, sizes) * sizes.mend if stage == "teach" else work.tokens
        seconds = work.flops / (options.tflops * TERA) + completions.get(stage, 0) * SOLUTION / options.decoded
        stored = count * SOLUTION * BYTES_A_TOKEN.get(stage, 0) / GIGA
        yield stage, work.rows, tokens / 1e6, seconds / HOUR, stored


def main() -> None:
    options = parser().parse_args()
    table = list(rows(options))
    print(f"| stage | goes through | million tokens | GPU hours | hours on {options.gpus} GPUs | GB of tables |")
    print("|---|---|---|---|---|---|")
    for stage, what, tokens, hours, stored in table:
        numbers = f"{tokens:,.0f} | {hours:,.1f} | {hours / options.gpus:,.1f} | {stored:,.1f}"
        print(f"| `{stage}` | {what} | {numbers} |")
    hours, stored = sum(row[3] for row in table), sum(row[4] for row in table)
    print(f"| all | | | {hours:,.0f} | {hours / options.gpus:,.0f} | {stored:,.1f} |")
    (teacher,) = (row[2] for row in table if row[0] == "teach")
    print(f"\nGPUs: {hours * options.price:,.0f}; teacher: {teacher * options.teacher_price:,.0f}.")


if __name__ == "__main__":
    main()
