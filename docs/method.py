"""The numbers of docs/method.md: one wrong sample carried from its problem to the loss, by the project's own functions.

    python docs/method.py    writes every computed block of the page anew

What is given stands in the constants below. A block is what stands between `<!-- computed: NAME -->` and the next
`<!-- end -->`; BLOCKS has a function for each NAME.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache
from math import log
from pathlib import Path
from typing import Any

import torch
from rapidfuzz.distance import Levenshtein

from flows.config import load_config
from models import tiny
from models.batch import Batch, Example, collate
from models.reward import token_rewards
from tasks.align import edit_operations, edited_tokens
from tasks.prompts import (
    all_text,
    decode,
    grm_parts,
    line_spans,
    locate_prompt,
    parse_located_line,
    rewrite_prompt,
    solution_completion,
    solve_prompt,
)
from tasks.rewrite import forced_start
from tasks.teach import TeachOptions, taught
from tasks.verify import verdict

PAGE = Path(__file__).with_name("method.md")
PROBLEM: dict[str, Any] = {
    "question": "Tom has 12 apples. He buys 5 more and gives 8 to Anna. How many are left?",
    "solution": "12+5=17 apples after buying.\n17-8=9 apples are left.\nThe answer is 9.",
    "answer": "9",
    "options": None,
}
SAMPLE = "Tom has 12+5=17 apples.\nHe gives Anna 8, so 17-8=11 are left.\nThe answer is 11."
LOCATED = "2"  # what the GRM answers when it is asked for the first wrong line
# Positions in the sample → p_GRM, π_ref and π; every other token has EASY under all three.
EASY = 0.98
TOKENS = {19: (0.44, 0.50, 0.55), 26: (0.02, 0.60, 0.30), 27: (0.45, 0.80, 0.72), 36: (0.93, 0.90, 0.90)}
REWRITE = {26: 0.25, 27: 0.90, 35: 0.70}  # positions in the rewrite → π
RIGHT = 0.97, 0.40  # p_GRM of two tokens of some right sample


@cache
def tokenizer() -> Any:
    """A tokenizer of whole words and single digits, trained on the example itself."""
    return tiny.train_tokenizer([all_text(PROBLEM) + SAMPLE] * 5, 400)


def sample() -> dict[str, Any]:
    """The sample as a row of the samples table."""
    ids = solution_completion(tokenizer(), SAMPLE)
    return {"sample_id": "s", "problem_id": "p", "completion_ids": ids, "completion": SAMPLE}


@cache
def rewrite() -> dict[str, Any]:
    """The scripted teacher's rewrite as a row of the rewrites table."""
    return taught(tokenizer(), sample(), PROBLEM, TeachOptions())


def texts(ids: Sequence[int]) -> list[str]:
    """Each token in quotation marks."""
    return [f'"{tokenizer().decode([token])}"'.replace("\n", "\\n") for token in ids]


def given(places: dict[int, float], length: int) -> list[float]:
    """A probability for each token: EASY where none is given."""
    return [places.get(place, EASY) for place in range(length)]


def column(number: int) -> list[float]:
    """One of the three probabilities of TOKENS, for every token of the sample."""
    return given({place: row[number] for place, row in TOKENS.items()}, len(sample()["completion_ids"]))


def rewards() -> list[float]:
    """R_t of every token of the sample, under the recipe's β and bounds."""
    own = recipe("rlmec").score.settings
    values = token_rewards(torch.tensor(column(0)), False, own["beta"], own["ceiling"], own["floor"])
    return [round(value, 6) for value in values.tolist()]  # the floor is −0.1, in fp32 a little off


@cache
def recipe(name: str) -> Any:
    """The configuration of preset tiny under a recipe."""
    return load_config("tiny", name)


def batch() -> tuple[Batch, torch.Tensor]:
    """The sample and its rewrite as one batch of training, and log π of each of their tokens."""
    options, prompt = recipe("rlmec").train_policy, solve_prompt(tokenizer(), PROBLEM["question"], None)
    old, new = sample()["completion_ids"], rewrite()["rewrite_ids"]
    weights = [options.edited_weight if edited else options.kept_weight for edited in edited_tokens(old, new)]
    reference = [log(p) for p in column(1)]
    examples = [
        Example(prompt, old, {"reward": rewards()}, reference, is_sample=True, is_right=False),
        Example(prompt, new, {"weight": weights}),
    ]
    made = collate(examples, torch.device("cpu"))
    logprobs = torch.zeros_like(made.reference_logprobs)
    logprobs[made.completion] = torch.tensor([log(p) for p in [*column(2), *given(REWRITE, len(new))]])
    return made, logprobs.requires_grad_()


def part(name: str, objective: str) -> tuple[float, float, torch.Tensor]:
    """An objective's sum, its count, and the gradient of their ratio on log π of each token."""
    made, logprobs = batch()
    own = recipe(name).train_policy.objectives[objective]
    total, count = own.total(logprobs, made)[0], own.count(made)
    (gradient,) = torch.autograd.grad(own.weight * total / count, logprobs)
    return float(total.detach()), float(count), gradient[0][made.completion[0]] + 0.0  # −0.0 becomes 0.0


def problem_block() -> str:
    return "\n".join(
        (f"question   {PROBLEM['question']}", *shown("reference", PROBLEM["solution"]), *shown("sample", SAMPLE))
    )


def verdict_block() -> str:
    return "\n".join(
        f"{name:<9}  states {verdict(text, PROBLEM).extracted_answer}, is {'right' if is_right else 'wrong'}"
        for name, text in (("reference", PROBLEM["solution"]), ("sample", SAMPLE))
        for is_right in [verdict(text, PROBLEM).is_right]
    )


def teach_block() -> str:
    ids, row = sample()["completion_ids"], rewrite()
    far = Levenshtein.distance(ids, solution_completion(tokenizer(), PROBLEM["solution"]))
    lines = [*shown("rewrite", row["rewrite"]), f"first changed line: {row['located_step']}"]
    share = f"{row['edit_distance']} of {len(ids)} tokens edited ({row['edit_fraction']:.0%})"
    return "\n".join((*lines, f"{share}; to the reference solution it would be {far}"))


def align_block() -> str:
    old, new = sample()["completion_ids"], rewrite()["rewrite_ids"]
    before, after, lines = texts(old), texts(new), []
    for kind, source, target in edit_operations(old, new):
        what = before[source] if kind == "delete" else f"{before[source]} → {after[target]}"
        lines.append(f"{kind:<8} {what:<12} position {source} of the sample, {target} of the rewrite")
    marked = [f"{after[place]} ({place})" for place, edited in enumerate(edited_tokens(old, new)) if edited]
    return "\n".join((*lines, f"edited tokens of the rewrite: {', '.join(marked)}"))


def prompt_block() -> str:
    parts = grm_parts(PROBLEM, sample())
    locating = decode(tokenizer(), locate_prompt(tokenizer(), *parts)).splitlines()
    rewriting = decode(tokenizer(), rewrite_prompt(tokenizer(), *parts)).splitlines()
    ids = sample()["completion_ids"]
    line = parse_located_line(LOCATED, len(line_spans(tokenizer(), ids)))
    forced = decode(tokenizer(), forced_start(tokenizer(), ids, line)).rstrip("\n")
    left, right = ["locate", *locating, f"▸ {LOCATED}"], ["rewrite", *rewriting, f"▸ {forced}", "▸ …"]
    return "\n".join((*(f"  {text}" for text in left), "", *(f"  {text}" for text in right)))


def score_block() -> str:
    words = texts(sample()["completion_ids"])
    lines = [f"{'token':<16} {'p_t':>5} {'p_t − β':>8} {'R_t':>6}"]
    for place, (p, _, _) in TOKENS.items():
        lines.append(f"{place:>2} {words[place]:<13} {p:>5.2f} {p - 0.5:>+8.2f} {rewards()[place]:>6.2f}")
    lines.append(f"{'the others':<16} {EASY:>5.2f} {EASY - 0.5:>+8.2f} {rewards()[0]:>6.2f}")
    of_right = token_rewards(torch.tensor(RIGHT), True).tolist()
    lines += [f"in a right sample {p:>4.2f} {p - 0.5:>+8.2f} {r:>6.2f}" for p, r in zip(RIGHT, of_right, strict=True)]
    return "\n".join(lines)


def policy_block() -> str:
    words, kept = texts(sample()["completion_ids"]), [place for place in TOKENS if rewards()[place]]
    ours, theirs = (part(name, "policy_gradient") for name in ("rlmec", "rlmec-paper"))
    lines = [f"{'token':<9} {'R_t':>6} {'π_ref':>6} {'π':>5} {'ρ_t':>5}   {'gradient on log π':>17}   in rlmec-paper"]
    for place in kept:
        _, before, now = TOKENS[place]
        pushes = f"{ours[2][place]:>17.4f}   {theirs[2][place]:>14.4f}"
        start = f"{place:>2} {words[place]:<6} {rewards()[place]:>6.2f} {before:>6.2f} {now:>5.2f}"
        lines.append(f"{start} {now / before:>5.2f}   {pushes}")
    for name, (total, count, _) in (("rlmec", ours), ("rlmec-paper", theirs)):
        lines.append(f"L_RL in {name:<12} = {total:.4f} / {count:.0f} = {total / count:.4f}")
    return "\n".join(lines)


def loss_block() -> str:
    new, options = rewrite()["rewrite_ids"], recipe("rlmec").train_policy
    edited, words = edited_tokens(sample()["completion_ids"], new), texts(new)
    probabilities = given(REWRITE, len(new))
    lines = [f"{'token':<9} {'π':>5} {'−log π':>7} {'w_t':>4} {'term':>7}"]
    for place in [place for place, is_edited in enumerate(edited) if is_edited]:
        nats, weight = -log(probabilities[place]), options.edited_weight
        start = f"{place:>2} {words[place]:<6} {probabilities[place]:>5.2f}"
        lines.append(f"{start} {nats:>7.4f} {weight:>4.1f} {weight * nats:>7.4f}")
    nats, weight = -log(EASY), options.kept_weight
    rest = edited.count(False)
    lines.append(f"the other {rest}: {EASY:.2f}, {nats:.4f}, {weight:.1f}, together {rest * weight * nats:.4f}")
    (reward, rewarded, _), (total, count, _) = (part("rlmec", name) for name in ("policy_gradient", "weighted_nll"))
    lines += [
        f"L_IM = {total:.4f} / {count:.0f} = {total / count:.4f}",
        f"L    = {reward / rewarded:.4f} + 1 · {total / count:.4f} = {reward / rewarded + total / count:.4f}",
    ]
    return "\n".join(lines)


def shown(name: str, text: str) -> list[str]:
    """A name, and the lines of a text numbered beside and below it."""
    return [f"{'' if number else name:<9}  {number + 1}. {line}" for number, line in enumerate(text.splitlines())]


BLOCKS: dict[str, Callable[[], str]] = {
    "problem": problem_block,
    "verdict": verdict_block,
    "teach": teach_block,
    "align": align_block,
    "prompts": prompt_block,
    "score": score_block,
    "policy": policy_block,
    "loss": loss_block,
}
PLACE = re.compile(r"(?<=<!-- computed: )(\w+) -->\n.*?(?=<!-- end -->)", re.DOTALL)


def rewritten(page: str) -> str:
    """A page with every computed block as it is now."""
    return PLACE.sub(lambda match: f"{match[1]} -->\n```\n{BLOCKS[match[1]]()}\n```\n", page)


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
