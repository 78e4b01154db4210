"""One optimiser update of the policy, against TRL's on the same ids, weights and seeds.

    python benchmarks/policy_step.py                         tiny and a 10 M model on the CPU (five minutes)
    python benchmarks/policy_step.py --models 1b --device cuda

An update of RLMEC is one of `models.loop.train`: batches made of examples, loss, gradient, clipping, AdamW. TRL's is a
batch by its own collator, its loss (`DPOTrainer.training_step`, `compute_loss` of `GRPOTrainer` and `SFTTrainer`), its
gradient, then the same clipping and the same AdamW; what its trainers do around that (data loader, callbacks, logs) is
left out, which is in TRL's favour. Both have the same number of rows in a forward pass.

    pairs       DPO: the rewrite is preferred over the sample (objective pairwise; TRL's reference is precomputed, too)
    rollouts    PPO's clipped loss with an advantage for each token (objective policy_gradient; TRL's GRPO loss)
    the method  rollouts, and accepted rewrites to imitate (both objectives; TRL's GRPO loss, then its SFT loss)

Tokens are those of the examples without padding, on both sides the same number; a beginning that rows have in common
counts as often as it is there, so to compute it once counts as speed. How much there is in common depends on the data,
so three kinds are measured: 4 samples of each problem in one update, 1 sample of each, and nothing in common but the
prompt that a sample has with its rewrite.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import Any, NamedTuple

import torch
from against_trl import BETA, CLIP, NORM, RATE, Update, trl_dpo, trl_grpo, trl_grpo_and_sft
from material import Material, Problem, distinct_share, material, tokens, unshared, with_references
from measure import (
    Rates,
    Side,
    Table,
    alone,
    columns,
    command,
    compared,
    growth,
    in_turn,
    machine,
    number,
    parsed_by,
    parser,
    settle,
    verdict,
    version,
    where,
)
from transformers import PreTrainedModel

from models.batch import Example
from models.loop import Optimisation, train
from models.objectives import Objective, pairwise, policy_gradient, weighted_nll

DEFAULT = ("tiny", "10m")
TARGET = 1.3
PROBLEMS = {"tiny": 8, "10m": 2, "1b": 8}  # in an update, with 4 samples each
UPDATES = {"tiny": 2, "10m": 1, "1b": 2}  # in a round
GROUPED, SINGLE, APART = "4 samples a problem", "1 sample a problem", "nothing in common"


MISSED = """\
What would have to change: rows that have nothing in common leave nothing to share, and then both sides compute the same
matrix products. It is missed by such rows alone, most by rollouts with one sample of each problem."""


class Contest(NamedTuple):
    """passes: into how many forward passes TRL divides the rows, since each of its losses has one."""

    objectives: Mapping[str, Objective]
    examples: Callable[[Sequence[Problem]], list[Example]]
    theirs: Callable[[PreTrainedModel, Material, list[Example], str], Update]
    passes: int = 1


def halves(problems: Sequence[Problem]) -> list[Example]:
    """A rewrite and its sample, pair by pair."""
    drawn = [(p.prompt, z, y) for p in problems for y, z in zip(p.samples, p.rewrites, strict=True)]
    return [
        Example(prompt, ids, is_sample=is_sample, pair=pair)
        for pair, (prompt, rewrite, sample) in enumerate(drawn)
        for is_sample, ids in ((False, rewrite), (True, sample))
    ]


def rollouts(problems: Sequence[Problem]) -> list[Example]:
    """Samples with a reward for each token."""
    return [
        Example(problem.prompt, ids, {"reward": [0.5 - (place % 3) / 2.5 for place in range(len(ids))]}, group=row,
                is_sample=True, is_right=False)
        for row, problem in enumerate(problems)
        for ids in problem.samples
    ]  # fmt: skip


def lessons(problems: Sequence[Problem]) -> list[Example]:
    """As recipe rlmec: each sample with its rewards, and its rewrite to imitate."""
    rewrites = [
        Example(problem.prompt, ids, {"weight": [1.0] * len(ids)}, group=row)
        for row, problem in enumerate(problems)
        for ids in problem.rewrites
    ]
    return [example for both in zip(rollouts(problems), rewrites, strict=True) for example in both]


def ours(model: PreTrainedModel, examples: list[Example], contest: Contest, precision: str) -> Update:
    """An update of RLMEC; returns its loss."""
    rows, longest = len(examples) // contest.passes, max(map(len, examples))
    how = Optimisation(
        learning_rate=RATE, schedule="constant", warm_up_fraction=0.0, max_gradient_norm=NORM,
        micro_batch_tokens=rows * longest, precision=precision,  # type: ignore[arg-type]
    )  # fmt: skip
    updates = train(model, repeat(examples), sys.maxsize, contest.objectives, how)
    return lambda: next(updates)[1]["loss"]


CLIPPED = policy_gradient.Objective(clip=CLIP, surrogate="ppo", normalisation="sequences")
CONTESTS = {
    "pairs": Contest({"pairwise": pairwise.Objective(beta=BETA)}, halves, trl_dpo),
    "rollouts": Contest({"policy_gradient": CLIPPED}, rollouts, trl_grpo),
    "the method": Contest(
        {"policy_gradient": CLIPPED, "weighted_nll": weighted_nll.Objective()}, lessons, trl_grpo_and_sft, passes=2
    ),
}


def problems_of(given: Material, kind: str) -> list[Problem]:
    """Problems of one update: always as many samples, however many problems they are of."""
    count = PROBLEMS[given.name]
    if kind == GROUPED:
        return given.problems[:count]
    single = [
        problem._replace(samples=problem.samples[:1], rewrites=problem.rewrites[:1])
        for problem in given.problems[: 4 * count]
    ]
    return single if kind == SINGLE else unshared(single)


def prepared(name: str, contest: str, kind: str, at: torch.device) -> tuple[Material, list[Example]]:
    """The material, and the examples of one update with their reference log-probabilities."""
    given = material(name, 4 * PROBLEMS[name])
    examples = CONTESTS[contest].examples(problems_of(given, kind))
    return given, with_references(given.model(at), examples)


def contestant(
    side: str, given: Material, contest: str, examples: list[Example], at: torch.device
) -> tuple[Any, Update]:
    """A model with the same weights for each side, and the side's update of it."""
    precision = "bf16" if at.type == "cuda" else "fp32"
    model = given.model(at)
    if side == "RLMEC":
        return model, ours(model, examples, CONTESTS[contest], precision)
    return model, CONTESTS[contest].theirs(model, given, examples, precision)


def duel(name: str, contest: str, kind: str, rounds: int, at: torch.device) -> tuple[Rates, str, float]:
    """Tokens a second of both, how well they agree after one update, and the distinct share of the tokens."""
    given, examples = prepared(name, contest, kind, at)
    before = flat(given.model(at))
    (our_model, our_update), (their_model, their_update) = (
        contestant(side, given, contest, examples, at) for side in ("RLMEC", "TRL")
    )
    one, other = float(our_update()), float(their_update())
    moved, theirs_moved = flat(our_model) - before, flat(their_model) - before
    apart = float((moved - theirs_moved).norm() / theirs_moved.norm())
    off = abs(one - other) / max(abs(other), 1e-9)
    if at.type == "cpu" and (off > 1e-4 or apart > 0.05):
        raise SystemExit(f"{contest}, {kind}: losses {one} and {other}, updates differ by {apart:.1%}")
    count = UPDATES[name]

    def side(label: str, update: Update) -> Side:
        return Side(label, lambda: [update() for _ in range(count)], count * tokens(examples))

    rates = in_turn(side("RLMEC", our_update), side("TRL", their_update), rounds, at)
    return rates, f"loss to {off:.0e}, update to {apart:.1%}", distinct_share(examples)


def flat(model: PreTrainedModel) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def memory(name: str, contest: str, kind: str, side: str, at: torch.device) -> None:
    """Print, as JSON, by how many MiB one side's memory grows in three updates."""
    given, examples = prepared(name, contest, kind, at)
    _, update = contestant(side, given, contest, examples, at)
    with growth(at) as grown:
        for _ in range(3):
            update()
        settle(at)
    print(json.dumps(grown["peak"]))


KINDS = {"pairs": (GROUPED, APART), "rollouts": (GROUPED, SINGLE), "the method": (GROUPED, SINGLE, APART)}


def add(table: Table, name: str, contest: str, kind: str, rounds: int, at: torch.device) -> None:
    """A row: speed, and, once a contest, the memory that both take."""
    rates, agreement, distinct = duel(name, contest, kind, rounds, at)
    title = f"{name}, {contest}, {kind} ({distinct:.0%} distinct)"
    table.add(
        *compared(title, rates, TARGET, agreement), *(memories(name, contest, at) if kind == GROUPED else ("", ""))
    )


def memories(name: str, contest: str, at: torch.device) -> tuple[str, str]:
    """What both take, and whether ours is no more."""
    words = ("--device", str(at), "--alone", name, contest, GROUPED)
    one, other = (float(alone(__file__, *words, side)) for side in ("RLMEC", "TRL"))
    return f"{number(one)} against {number(other)} MiB", verdict(one / other, 1.0, at_most=True)


def main() -> None:
    os.environ |= {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "TQDM_DISABLE": "1"}  # of TRL's trainers
    options = parsed()
    if options.alone:
        memory(*options.alone, options.device)
        return
    about = (
        f"`{command(__file__, options)}`, on {machine()}. Optimiser updates; tokens are those of the examples without "
        "padding, and *distinct* is the share that is left where a beginning that rows have in common counts once. "
        "Memory is what a process takes in three updates beyond what it held before, and should be no more than TRL's."
    )
    heads = (*columns("tokens/s", "TRL"), "memory, RLMEC against TRL", "no more")
    table = Table("Policy step", about, heads, missed=MISSED)
    if version("trl") is None:
        table.notes.append("Not measured: TRL is not installed.")
    else:
        for name in options.models:
            for contest in CONTESTS:
                for kind in KINDS[contest][: 1 if options.small else None]:
                    add(table, name, contest, kind, options.rounds, options.device)
            table.notes.append(profile(name, "the method", options.device))
    print(table.markdown())


def profile(name: str, contest: str, at: torch.device) -> str:
    """Where both spend an update."""
    given, examples = prepared(name, contest, GROUPED, at)
    found = {}
    for side in ("RLMEC", "TRL"):
        _, update = contestant(side, given, contest, examples, at)
        update()
        found[side] = where(update, at)
    return f"Where an update goes ({name}, {contest}): RLMEC {found['RLMEC']}; TRL {found['TRL']}."


def parsed() -> argparse.Namespace:
    made = parser(__doc__, DEFAULT)
    made.add_argument("--alone", nargs=4, metavar=("MODEL", "CONTEST", "KIND", "SIDE"), help=argparse.SUPPRESS)
    return parsed_by(made)


if __name__ == "__main__":
    main()
