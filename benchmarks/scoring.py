"""Log-probabilities of samples under the GRM and under the reference policy, against one sample at a time.

    python benchmarks/scoring.py                             tiny and a 10 M model on the CPU (two minutes)
    python benchmarks/scoring.py --models 1b --device cuda

`models.logprobs.completion_logprobs` on the examples that `tasks/credit/grm.py` and `tasks/score.py` make: the GRM
reads the problem, its reference solution, the sample, and scores the sample once more; the policy reads the problem and
scores the sample. All K samples of a problem begin alike. Tokens are those of prompts and completions, on both sides
the same. The log-probabilities must agree to 1e-4 (on a GPU in bf16, where they cannot, the difference is shown).
"""

from collections.abc import Callable, Sequence

import torch
from material import Material, Problem, distinct_share, material, tokens
from measure import Side, Table, columns, command, compared, in_turn, machine, parsed_by, parser, where
from transformers import PreTrainedModel

from models.batch import Example, collate
from models.logprobs import completion_logprobs, token_logprobs

TARGET, WORST = 4.0, 1e-4
MISSED = """\
What would have to change: a core is as busy with the matrix products of one sequence as of many (the profiles), so
batches save only what calls cost, and shared beginnings at most what is not distinct. A tree also pays for attention
that its mask throws away, which is much where a model is narrow: a kernel that leaves masked blocks out would not.
One sequence leaves a GPU idle; there it is another matter, and not measured."""
PROBLEMS = {"tiny": 32, "10m": 4, "1b": 16}
SAMPLES = 4
BATCH = 16  # the default of stage `score`


def grm_examples(given: Material, problems: Sequence[Problem]) -> list[Example]:
    """As `tasks.credit.grm` makes them; random ids need no words between the parts."""
    if given.name == "1b":
        return [Example([*p.prompt, *p.reference, *ids], ids) for p in problems for ids in p.samples]
    from tasks.prompts import CORRECTED, REFERENCE, SOLUTION, STUDENT, encode, without_eos

    def parts(text: str) -> list[int]:
        return encode(given.tokenizer, text)

    ends = len(parts(SOLUTION))
    return [
        Example(
            [*p.prompt[:-ends], *parts(REFERENCE), *without_eos(given.tokenizer, p.reference), *parts("\n" + STUDENT),
             *without_eos(given.tokenizer, ids), *parts(CORRECTED)],
            ids,
        )
        for p in problems
        for ids in p.samples
    ]  # fmt: skip


def policy_examples(given: Material, problems: Sequence[Problem]) -> list[Example]:
    return [Example(problem.prompt, ids) for problem in problems for ids in problem.samples]


SUBJECTS: dict[str, Callable[[Material, Sequence[Problem]], list[Example]]] = {
    "GRM": grm_examples,
    "reference policy": policy_examples,
}


def together(model: PreTrainedModel, examples: list[Example]) -> dict[int, torch.Tensor]:
    return dict(completion_logprobs(model, examples, BATCH))


@torch.inference_mode()
def one_by_one(model: PreTrainedModel, examples: list[Example]) -> dict[int, torch.Tensor]:
    batches = (collate([example], model.device) for example in examples)
    return {row: token_logprobs(model, batch)[batch.completion].cpu() for row, batch in enumerate(batches)}


def apart(one: dict[int, torch.Tensor], other: dict[int, torch.Tensor]) -> float:
    """The greatest difference of two log-probabilities of a token."""
    return max(float((one[row] - other[row]).abs().max()) for row in one)


def add(table: Table, name: str, subject: str, problems: int, rounds: int, at: torch.device) -> None:
    """A row of the table."""
    given = material(name, problems, SAMPLES)
    model, examples = given.model(at), SUBJECTS[subject](given, given.problems)
    if at.type == "cuda":
        model = model.to(torch.bfloat16)
    worst = apart(one_by_one(model, examples), together(model, examples))
    if at.type == "cpu" and worst > WORST:
        raise SystemExit(f"{subject}: log-probabilities differ by {worst}")
    many, one = (
        Side(label, lambda way=way: way(model, examples), tokens(examples))
        for label, way in (("batches", together), ("one", one_by_one))
    )
    rates = in_turn(many, one, rounds, at)
    title = f"{name}, {subject} ({distinct_share(examples):.0%} distinct)"
    table.add(*compared(title, rates, TARGET, f"log-probabilities to {worst:.0e}"))
    table.notes.append(
        f"Where it goes ({name}, {subject}): {where(many.act, at)}; one at a time: {where(one.act, at)}."
    )


def main() -> None:
    options = parsed_by(parser(__doc__, ("tiny", "10m")))
    about = (
        f"`{command(__file__, options)}`, on {machine()}. {SAMPLES} samples of each problem, `batch_size` {BATCH}. "
        "*Distinct* is the share of tokens that is left where a beginning that samples have in common counts once."
    )
    table = Table("Scoring", about, columns("tokens/s", "one at a time"), missed=MISSED)
    for name in options.models:
        for subject in SUBJECTS:
            add(table, name, subject, 2 if options.small else PROBLEMS[name], options.rounds, options.device)
    print(table.markdown())


if __name__ == "__main__":
    main()
