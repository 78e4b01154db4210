"""What the scripted teacher makes of real mistakes: GPT-3's wrong solutions of GSM8K test problems.

    python benchmarks/teacher.py                             prints the tables (half a minute)
    python benchmarks/teacher.py --markdown docs/teacher.md  writes them, and ten rewrites, to a file

It reads `gsm8k` and `gsm8k_model_solutions` of openai/grade-school-math in the folder that RLMEC_DATA names, or
`--data`. A rewrite must be right, with every equation in it true, and its edits are counted in tokens of the
tokenizer that preset `gsm8k-small` trains. Two simpler ways to a right solution stand beside the teacher's.
"""

import argparse
import difflib
import json
import os
import random
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rapidfuzz.distance import Levenshtein
from transformers import PreTrainedTokenizerBase

from models import tiny
from tasks import datasets, teachers
from tasks.equations import every_equation_holds
from tasks.prompts import all_text, encode
from tasks.teachers import scripted
from tasks.teachers._steps import ANSWER_LINE, Step, step_of
from tasks.verify import verdict

SOLVERS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
ROOT = Path(__file__).resolve().parents[1]
SHOWN, SEED = 10, 0
PAGE = """# What the scripted teacher makes of real mistakes

    python benchmarks/teacher.py --markdown docs/teacher.md

GPT-3 (6B and 175B) solved GSM8K test problems; these are its solutions that were marked wrong. A rewrite must be right,
with every equation in it true. *Edits* are mean token edits from the sample to the rewrite, and beside that to the
reference solution, in the tokenizer of preset `gsm8k-small`; *ratio* is the first by the second. Where the teacher has
no better rewrite it offers the reference solution, which counts with all its edits (last column). Where the equation
check takes an equation of the reference solution itself for false, there is mostly no rewrite.

{tables}
The teacher keeps a line only where it computes what the reference computes from the same numbers of the question, and
gives it other numbers only where names, units and the question's words allow that. Aligning steps without asking this
edits fewer tokens, and leaves sentences that contradict their equations or the question.

## Ten rewrites

Chosen by `random.Random({seed}).sample`. A line of the sample that changed or went is marked `-`, a line of the rewrite
that changed or came `+`. Questions and samples are from
[openai/grade-school-math](https://github.com/openai/grade-school-math) (licence: MIT, © 2021 OpenAI); the samples are
its `example_model_solutions`, without the calculator's marks.

{rewrites}"""


class Mistake(NamedTuple):
    solver: str
    problem: dict[str, Any]  # a row of the problems table
    sample: str


class Outcome(NamedTuple):
    mistake: Mistake
    rewrite: str | None
    is_right: bool  # and every equation holds
    edits: int  # tokens, from the sample to the rewrite
    reference_edits: int  # tokens, from the sample to the reference solution


Distance = Callable[[str, str], int]
Rewriter = Callable[[Mistake, Distance], str | None]


def mistakes(folder: Path) -> list[Mistake]:
    """Every wrong solution, without the calculator's marks, which the project's form of GSM8K has not either."""
    test = datasets.load("gsm8k", "test", folder / "gsm8k")
    problems = {problem["question"]: problem for problem in test.iter_rows(named=True)}
    lines = (folder / "gsm8k_model_solutions" / "part1.jsonl").read_text(encoding="utf-8").splitlines()
    return [
        Mistake(solver, problems[row["question"].strip()], re.sub("<<[^<>\n]*>>", "", row[solver]["solution"]))
        for row in map(json.loads, lines)
        for solver in SOLVERS
        if not row[solver]["is_correct"]
    ]


def tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of preset `gsm8k-small`, as its warm-up trains it."""
    preset = tomllib.loads((ROOT / "flows" / "presets" / "gsm8k-small.toml").read_text(encoding="utf-8"))
    train = datasets.load("gsm8k", "train", folder / "gsm8k").iter_rows(named=True)
    return tiny.train_tokenizer(map(all_text, train), preset["warm_up"]["architecture"]["vocabulary"])


def token_distance(tokens: PreTrainedTokenizerBase) -> Distance:
    """Levenshtein distance of two texts in token ids, as stage `align` counts edits; each text is encoded once."""
    known: dict[str, list[int]] = {}

    def ids(text: str) -> list[int]:
        if text not in known:
            known[text] = encode(tokens, text)
        return known[text]

    return lambda first, second: Levenshtein.distance(ids(first), ids(second))


def outcomes(given: Iterable[Mistake], rewriter: Rewriter, distance: Distance) -> Iterator[Outcome]:
    for mistake in given:
        text = rewriter(mistake, distance)
        if text is None:
            yield Outcome(mistake, None, False, 0, 0)
        else:
            edits = [distance(mistake.sample, other) for other in (text, mistake.problem["solution"])]
            yield Outcome(mistake, text, accepted(text, mistake.problem), *edits)


def accepted(text: str, problem: dict[str, Any]) -> bool:
    return verdict(text, problem).is_right and every_equation_holds(text)


def taught(mistake: Mistake, distance: Distance) -> str | None:
    """The scripted teacher's rewrite."""
    problem, sample = mistake.problem, mistake.sample
    task = teachers.Problem(problem["question"], problem["solution"], problem["answer"], problem["options"])
    found = scripted.candidates(task, sample)
    return teachers.best_rewrite(found, task, sample, lambda text: accepted(text, problem), distance)


def spliced(mistake: Mistake, _: Distance) -> str:
    """The correct prefix of the sample, then the rest of the reference solution, with its answer line.

    The prefix ends before the first equation that is false or whose result no later reference step has.
    """
    lines, (steps, answer_line) = parts(mistake.sample)[0], parts(mistake.problem["solution"])
    kept = place = 0
    for i, line in enumerate(lines):
        if not line.equations:
            continue
        result = line.results[-1] if line.is_true and line.results else None
        says = [j for j in range(place, len(steps)) if result is not None and result in steps[j].results]
        if not says:
            break
        kept, place = i + 1, says[0] + 1
    return "\n".join([*(step.text for step in [*lines[:kept], *steps[place:]]), answer_line])


def with_equations(mistake: Mistake, distance: Distance) -> str:
    """Steps aligned with the reference's by fewest edits, each with the reference's equations for its own."""
    lines, (steps, answer_line) = parts(mistake.sample)[0], parts(mistake.problem["solution"])
    best: dict[tuple[int, int], tuple[int, list[str]]] = {(0, 0): (0, [])}
    for i in range(len(lines) + 1):
        for j in range(len(steps) + 1):
            ways = [best[i, j]] if (i, j) in best else []
            if i:
                edits, texts = best[i - 1, j]
                ways.append((edits + distance(lines[i - 1].text, ""), texts))
            if j:
                edits, texts = best[i, j - 1]
                ways.append((edits + distance("", steps[j - 1].text), [*texts, steps[j - 1].text]))
            if i and j:
                edits, texts = best[i - 1, j - 1]
                text = equations_swapped(lines[i - 1], steps[j - 1])
                ways.append((edits + distance(lines[i - 1].text, text), [*texts, text]))
            best[i, j] = min(ways, key=lambda way: way[0])
    return "\n".join([*best[len(lines), len(steps)][1], answer_line])


def equations_swapped(line: Step, step: Step) -> str:
    """The line's words around the step's equations; the step where they have not equally many."""
    if not line.statements or len(line.statements) != len(step.statements):
        return step.text
    text = line.text
    for old, new in reversed(list(zip(line.statements, step.statements, strict=True))):
        text = text[: old.start] + step.text[new.start : new.end] + text[old.end :]
    return text


def parts(solution: str) -> tuple[list[Step], str]:
    """A solution's steps, and its answer line (empty where it has none)."""
    lines = [line for line in solution.split("\n") if line.strip()]
    answer_line = lines.pop() if lines and ANSWER_LINE.fullmatch(lines[-1]) else ""
    return [step_of(line) for line in lines], answer_line


REWRITERS: dict[str, Rewriter] = {
    "the scripted teacher": taught,
    "correct prefix, then the reference": spliced,
    "aligned steps with the reference's equations": with_equations,
}


def is_reference(outcome: Outcome) -> bool:
    """Whether the rewrite is the reference solution, apart from the form of its answer line."""
    steps = [step.text for step in parts(outcome.rewrite or "")[0]]
    return steps == [step.text for step in parts(outcome.mistake.problem["solution"])[0]]


def row(name: str, done: Sequence[Outcome]) -> str:
    """A table row: how many, the share that is right and true, mean edits of the rewrites, and how many are copies."""
    written = [outcome for outcome in done if outcome.rewrite is not None]
    edits, far = sum(outcome.edits for outcome in written), sum(outcome.reference_edits for outcome in written)
    right = sum(outcome.is_right for outcome in done) / len(done)
    reference = sum(map(is_reference, written)) / len(done)
    means = f"{edits / len(written):.1f} | {far / len(written):.1f} | {edits / far:.1%}"
    return f"| {name} | {len(done)} | {right:.1%} | {means} | {reference:.1%} |"


def table(first: str, rows: Iterable[str]) -> str:
    columns = ("wrong solutions", "right and true", "edits", "edits to the reference", "ratio", "is the reference")
    return "\n".join([f"| {first} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|", *rows])


def tables(given: Sequence[Mistake], done: Sequence[Outcome], distance: Distance) -> str:
    """The teacher by solver, then the three ways over all."""
    by_solver = [row(solver, [o for o in done if o.mistake.solver == solver]) for solver in SOLVERS]
    simpler = {name: rewriter for name, rewriter in REWRITERS.items() if rewriter is not taught}
    ways = [row(name, list(outcomes(given, rewriter, distance))) for name, rewriter in simpler.items()]
    in_form = [m._replace(sample=re.sub(r"\nA: (.*)$", r"\nThe answer is \1.", m.sample)) for m in given]
    same_form = row("the teacher, answer line in the reference's form", list(outcomes(in_form, taught, distance)))
    first = table("solver", [*by_solver, row("all", done)])
    return f"{first}\n\n{table('way', [row('the scripted teacher', done), *ways, same_form])}\n"


def shown(done: Sequence[Outcome]) -> Iterator[str]:
    """Ten rewrites, chosen by a seed, as diffs."""
    rewritten = [outcome for outcome in done if outcome.rewrite is not None]
    for number, outcome in enumerate(random.Random(SEED).sample(rewritten, SHOWN), start=1):
        solver, problem, sample = outcome.mistake
        lines = difflib.ndiff(sample.splitlines(), (outcome.rewrite or "").splitlines())
        diff = "\n".join(line for line in lines if not line.startswith("?"))
        yield (
            f"### {number}. {solver}, {outcome.edits} tokens edited; to the reference {outcome.reference_edits}\n\n"
            f"{problem['question']}\n\n```diff\n{diff}\n```\n"
        )


def page(tables_text: str, rewrites: Iterable[str]) -> str:
    return PAGE.format(tables=tables_text, seed=SEED, rewrites="\n".join(rewrites))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of published datasets (default: RLMEC_DATA)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write a page with ten rewrites")
    options = parser.parse_args()
    folder = options.data or (Path(os.environ["RLMEC_DATA"]) if "RLMEC_DATA" in os.environ else None)
    if folder is None or not (folder / "gsm8k_model_solutions").is_dir():
        parser.error("name a folder with gsm8k and gsm8k_model_solutions: --data FOLDER or RLMEC_DATA")
    given, distance = mistakes(folder), token_distance(tokenizer(folder))
    done = list(outcomes(given, taught, distance))
    text = tables(given, done, distance)
    print(text)
    if options.markdown:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        options.markdown.write_text(page(text, shown(done)), encoding="utf-8")


if __name__ == "__main__":
    main()
