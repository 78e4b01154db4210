"""Completions by `models.policy.complete` against transformers' own `generate`, on the same prompts and weights.

    python benchmarks/sampling.py                            tiny and a 10 M model on the CPU (four minutes)
    python benchmarks/sampling.py --models 1b --device cuda   every completion as long as it may be

The models have first learnt the form of a solution from some updates on reference solutions, so that completions end
where solutions end; `1b` has learnt nothing, and its completions all go on to the limit. Both sides get the prompts in
order of length, and each takes the best of the same batch sizes, `generate` the better of its dynamic and its static
cache, too, by a short search. Tokens are those up to EOS. Greedy completions must be the same, id by id, but for near
ties; sampled ones are drawn from other random numbers on each side.
"""

import sys
from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import torch
from material import Material, material
from measure import Side, Table, columns, command, compared, in_turn, machine, parsed_by, parser, seconds, where
from transformers import PreTrainedModel

from models.batch import Example
from models.loop import Optimisation, train
from models.objectives import weighted_nll
from models.policy import Decoding, complete, left_padded

TARGETS = {"tiny": 1.5, "10m": 1.0, "1b": None}
LESSONS = {"tiny": (300, 32, 3e-3), "10m": (40, 16, 2e-3), "1b": (0, 0, 1.0)}  # updates, rows in each, learning rate
PROMPTS = {"tiny": 256, "10m": 32, "1b": 256}
SIZES = {"tiny": (64, 128, 256), "10m": (16, 32), "1b": (64, 256)}
SAMPLES, LIMIT, TEMPERATURE, TOP_P = 4, 80, 0.7, 0.95
MISSED = """\
What would have to change: a step reads all keys and values for one query a row, which memory bounds on both sides; the
rest is Python between operations. A compiled step with a static cache would save that part, but needs a compiler."""
NEVER = -1  # as EOS: no completion ends
Sampler = Callable[[], dict[int, list[int]]]


class Given(NamedTuple):
    model: PreTrainedModel
    prompts: list[list[int]]
    eos: int
    pad: int


def given(name: str, at: torch.device, small: bool) -> Given:
    """A model that ends its completions, and prompts that it was not trained on, in order of length."""
    updates, rows, rate = (2, 4, 1e-3) if small else LESSONS[name]
    count = 8 if small else PROMPTS[name]
    made = material(name, count + 3000 if updates and not small else count + 50, samples=1)
    model = made.model(at)
    if updates:
        learn(model, made, updates, rows, rate, count)
    tokenizer = made.tokenizer
    prompts = sorted((problem.prompt for problem in made.problems[:count]), key=len)
    return Given(model, prompts, tokenizer.eos_token_id if updates else NEVER, tokenizer.pad_token_id)


def learn(model: PreTrainedModel, made: Material, updates: int, rows: int, rate: float, held_out: int) -> None:
    """Some updates on reference solutions."""
    examples = [
        Example(problem.prompt, problem.reference, {"weight": [1.0] * len(problem.reference)})
        for problem in made.problems[held_out:]
    ]
    steps = (
        [examples[(first + row) % len(examples)] for row in range(rows)] for first in range(0, updates * rows, rows)
    )
    how = Optimisation(learning_rate=rate, micro_batch_tokens=2048)
    for _ in train(model, steps, updates, {"weighted_nll": weighted_nll.Objective()}, how):
        pass


def ours(task: Given, sampled: bool, size: int) -> dict[int, list[int]]:
    decoding = Decoding(LIMIT, TEMPERATURE, TOP_P) if sampled else Decoding(LIMIT)
    seeds = list(range(len(task.prompts)))
    return {done.row: done.ids for done in complete(task.model, task.prompts, task.eos, decoding, seeds, size)}


@torch.inference_mode()
def theirs(task: Given, sampled: bool, size: int, cache: str) -> dict[int, list[int]]:
    """`generate`, and the completions cut after EOS."""
    torch.manual_seed(0)
    chosen = {"do_sample": True, "temperature": TEMPERATURE, "top_p": TOP_P, "top_k": 0} if sampled else {
        "do_sample": False
    }  # fmt: skip
    eos = None if task.eos == NEVER else task.eos
    done: dict[int, list[int]] = {}
    for first in range(0, len(task.prompts), size):
        part = task.prompts[first : first + size]
        ids, mask = left_padded(part, task.model.device)
        out = task.model.generate(
            ids, attention_mask=mask, max_new_tokens=LIMIT, eos_token_id=eos, pad_token_id=task.pad,
            cache_implementation=cache, **chosen,
        )[:, ids.shape[1] :].tolist()  # fmt: skip
        for row, completion in enumerate(out, start=first):
            ends = completion.index(task.eos) + 1 if task.eos in completion else len(completion)
            done[row] = completion[:ends]
    return done


class Fastest(NamedTuple):
    """The quickest of some ways to sample, and what it sampled."""

    name: str
    way: Sampler
    done: dict[int, list[int]]

    @property
    def tokens(self) -> int:
        return sum(map(len, self.done.values()))


def fastest(choices: dict[str, Sampler], at: torch.device) -> Fastest:
    """By a call of each: a short search."""
    took, done = {}, {}
    for name, way in choices.items():
        took[name] = seconds(lambda name=name, way=way: done.update({name: way()}), at)
    print("  " + ", ".join(f"{name} {time:.2f} s" for name, time in took.items()), file=sys.stderr)
    best = min(took, key=took.__getitem__)
    return Fastest(best, choices[best], done[best])


def agreement(one: dict[int, list[int]], other: dict[int, list[int]]) -> str:
    same = sum(one[row] == other[row] for row in one)
    return f"{same} of {len(one)} completions the same"


def contest(
    task: Given, name: str, sampled: bool, sizes: Sequence[int], rounds: int, at: torch.device
) -> tuple[tuple[str, ...], str]:
    """A row of the table, and where the time goes."""
    mine = {f"batches of {size}": lambda size=size: ours(task, sampled, size) for size in sizes}
    plain = {
        f"{cache} cache, batches of {size}": lambda size=size, cache=cache: theirs(task, sampled, size, cache)
        for size, cache in product(sizes, ("dynamic", "static"))
    }
    own, other = fastest(mine, at), fastest(plain, at)
    if sampled:
        ended = sum(ids[-1] == task.eos for ids in own.done.values()) / len(own.done)
        same = f"{own.tokens} and {other.tokens} tokens, {ended:.0%} ended"
    else:
        same = agreement(own.done, other.done)
    rates = in_turn(Side("RLMEC", own.way, own.tokens), Side("generate", other.way, other.tokens), rounds, at)
    how = "sampled" if sampled else "greedy"
    row = compared(f"{name}, {how}: {own.name}; generate: {other.name}", rates, TARGETS[name], same)
    return row, f"Where it goes ({name}, {how}): {where(own.way, at)}; `generate`: {where(other.way, at)}."


def main() -> None:
    options = parsed_by(parser(__doc__, ("tiny", "10m")))
    about = (
        f"`{command(__file__, options)}`, on {machine()}. At most {LIMIT} new tokens; greedy, or {SAMPLES} samples of "
        f"each prompt at temperature {TEMPERATURE}, top-p {TOP_P}. Tokens are those up to EOS. Models that have learnt "
        "to end their completions."
    )
    table = Table("Sampling", about, columns("tokens/s", "`generate`"), missed=MISSED)
    for name in options.models:
        task = given(name, options.device, options.small)
        sizes = (4,) if options.small else SIZES[name]
        drawn = task._replace(prompts=[prompt for prompt in task.prompts[::SAMPLES] for _ in range(SAMPLES)])
        for sampled in (False, True):
            row, profile = contest(drawn if sampled else task, name, sampled, sizes, options.rounds, options.device)
            table.add(*row)
            table.notes.append(profile)
    print(table.markdown())


if __name__ == "__main__":
    main()
