"""What a run was and what came out, in one paragraph: the description that MLflow shows beside it.

    stage_note("sample", "The policy completes …", {"completions": 100, "right_share": 0.7, …}, 12.3)
    "Stage sample: the policy completes … 100 completions, 70.0 % right. It took 12 s."

A line of STORIES is told where all of its numbers were logged.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

NOTE = "mlflow.note.content"  # the tag that MLflow shows as a description

STORIES: dict[str, tuple[str, ...]] = {
    "prepare": ("{0[problems/train]:,.0f} problems to train on", "{0[overlap]:,.0f} that a benchmark asks dropped"),
    "warm_up": ("{0[updates]:,.0f} updates", "development accuracy {0[development_accuracy]:.1%}"),
    "evaluate": (),
    "sample": ("{0[completions]:,.0f} completions, {0[right_share]:.1%} right",
               "{0[samples_wrong]:,.0f} different wrong samples"),
    "teach": ("{0[accepted]:,.0f} of {0[wrong_samples]:,.0f} rewrites accepted",
              "{0[edit_fraction]:.1%} of tokens edited"),
    "train_reward_model": ("{0[pairs_trained]:,.0f} rewrites learned, {0[pairs_unseen]:,.0f} held back",),
    "rewrite": ("{0[accepted]:,.0f} of {0[wrong_samples]:,.0f} rewrites accepted",
                "{0[rewrites_right/unseen]:.1%} right on pairs that the GRM never saw"),
    "align": ("{0[pairs]:,.0f} rewrites", "{0[edits_per_pair]:.1f} edits each"),
    "measure_credit": ("AUC of the first error {0[auc_first_error/all]:.3f}",),
    "score": ("{0[samples]:,.0f} samples", "{0[negative_token_share]:.1%} of tokens with a negative reward"),
    "pair": ("{0[pairs]:,.0f} pairs",),
    "train_policy": ("{0[updates]:,.0f} updates", "{0[tokens_trained]:,.0f} tokens"),
    "compare_predictions": (),
}  # fmt: skip


def outcomes(stage: str, metrics: Mapping[str, float]) -> Iterator[str]:
    """What a stage's numbers say, a phrase each."""
    for story in STORIES.get(stage, ()):
        try:
            yield story.format(metrics).replace("%", " %")
        except KeyError:
            continue
    for name, rate in metrics.items():
        measure, _, benchmark = name.partition("/")
        if measure == "accuracy" and benchmark:
            low, high = (metrics.get(f"{end}/{benchmark}") for end in ("low", "high"))
            between = f" [{100 * low:.1f}, {100 * high:.1f}]" if low is not None and high is not None else ""
            yield f"{benchmark} {100 * rate:.1f} %{between}"
        if measure == "difference":
            yield f"{benchmark} {100 * rate:+.1f} points"


def duration(seconds: float) -> str:
    """95.2 → 1 min 35 s."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def stage_note(label: str, stage: str, about: str, metrics: Mapping[str, float], seconds: float) -> str:
    """The description of a stage's run. about: the first sentence of its module."""
    told = "; ".join(outcomes(stage, metrics))
    return " ".join(
        filter(None, (f"Stage {label}: {about}", f"{told}." if told else "", f"It took {duration(seconds)}."))
    )


def gained(accuracy: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Iterator[str]:
    """What was measured on each benchmark: test 75.4 % [73.4, 77.2] before, 87.9 % [86.4, 89.3] after (+12.5)."""
    for benchmark, sides in accuracy.items():
        told = [
            f"{100 * found['rate']:.1f} % [{100 * found['low']:.1f}, {100 * found['high']:.1f}] {side}"
            for side, found in sides.items()
        ]
        is_trained = {"before", "after"} <= set(sides)
        gain = f" ({100 * (sides['after']['rate'] - sides['before']['rate']):+.1f} points)" if is_trained else ""
        yield f"{benchmark} {', '.join(told)}{gain}"


def run_note(summary: Mapping[str, Any]) -> str:
    """The description of a pipeline's run, from its summary."""
    names = ("preset", "recipe", "checkpoint", "against", "seed")
    heading = ", ".join(f"{name} {summary[name]}" for name in names if summary.get(name) is not None)
    stages: Sequence[Mapping[str, Any]] = summary["stages"]
    reused = sum(stage["reused"] for stage in stages)
    parts = [
        f"{heading[:1].upper()}{heading[1:]}.",
        f"Accuracy with 95 % intervals: {'; '.join(gained(summary['accuracy']))}." if summary["accuracy"] else "",
        f"{len(stages)} stages, {reused} of them from the store, in {duration(summary['seconds'])}.",
        *(f"Warning: {warning}." for warning in summary.get("warnings", ())),
    ]
    return " ".join(filter(None, parts))


def comparison_note(result: Mapping[str, Any]) -> str:
    """The description of a comparison's run, from its comparison.json."""
    recipes = result["recipes"]
    benchmark = next(name for name, value in next(iter(recipes.values())).items() if isinstance(value, dict))
    ranked = sorted(recipes.items(), key=lambda item: -item[1][benchmark]["mean"])
    told = ", ".join(f"{name} {100 * found[benchmark]['mean']:.1f} %" for name, found in ranked)
    seeds = ", ".join(map(str, result["seeds"]))
    return (
        f"{len(recipes)} recipes on preset {result['preset']}, seeds {seeds}, on the same samples. "
        f"Mean accuracy on {benchmark}: {told}. Intervals and tests are in comparison.md and on the page."
    )


def credit_note(result: Mapping[str, Any]) -> str:
    """The description of a comparison of credit sources, from its credit.json."""
    found = [row for row in result["credit"] if row["group"] == "all" and row["auc_first_error"] is not None]
    ranked = sorted(found, key=lambda row: -row["auc_first_error"])
    told = ", ".join(f"{row['auc_first_error']:.3f} by {row['source']}" for row in ranked)
    return (
        f"Credit sources on preset {result['preset']}, seeds {', '.join(map(str, result['seeds']))}, held against the "
        f"teacher's edits on samples that nothing was trained on. The first error is told from the tokens before it "
        f"with an AUC of {told}. The other figures are in credit.md."
    )


def caveats(result: Mapping[str, Any]) -> list[str]:
    """What a reader of the table must know: where all started, how learning rates were chosen, what p means, what was
    left out."""
    tried = ", ".join(f"× {rate:g}" for rate in result["rates"])
    rates = (
        f"Learning rates: the preset's {tried}, the best of them on the development problems under seed "
        f"{result['tuning_seed']}, which takes no other part."
        if len(result["rates"]) > 1
        else f"Learning rate: the preset's {tried}, not tuned."
    )
    tests = (
        "Intervals and p (bootstrap) resample seeds and problems together; p (McNemar) is exact, over problems. Both "
        "are corrected by Holm over all rows with the same baseline. Seconds and tokens are a recipe's own, means over "
        "seeds."
    )
    left_out = (f"{name} was left out: {reason}" for name, reason in result["skipped"].items())
    return [*start(result), rates, tests, *left_out]


def start(result: Mapping[str, Any]) -> list[str]:
    """What the policies solve that all recipes start from; nothing of a comparison of an earlier version."""
    solved = [
        f"{', '.join(f'{100 * rate:.1f}' for rate in rates)} % of {benchmark}"
        for benchmark, rates in result.get("start", {}).items()
    ]
    return [f"All recipes start from the same policies, one a seed, which solve {'; '.join(solved)}."] if solved else []
