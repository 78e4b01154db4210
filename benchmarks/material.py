"""What the benchmarks of models/ work on: models from random weights, and problems with samples and rewrites.

A sample is a reference solution in words of its own with one digit changed, and its rewrite has that digit right, as
real rewrites keep nearly all of a sample:

    sample    So Mia has 12+9=27 shells.      rewrite    So Mia has 12+9=21 shells.
              The answer is 21.                          The answer is 21.

So the two halves of a pair share the prompt and a long beginning, and the samples of one problem share their prompt.
`unshared` takes away all that: then each prompt comes once, or twice in a pair, with completions of other problems.

The generated problems are those of preset `tiny`, so the models `tiny` and `10m` read real text. Model `1b` is for GPUs
and reads random ids of about the lengths of GSM8K: there torch and transformers suffice.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from models import tiny
from models.batch import Example

SEED = 0


@dataclass(frozen=True)
class Shape:
    """Layers, width, heads, heads of keys and values, feed-forward width and vocabulary of a Llama."""

    layers: int
    width: int
    heads: int
    key_heads: int
    feed_forward: int
    vocabulary: int


SHAPES = {
    "tiny": Shape(3, 96, 3, 3, 288, 512),  # of preset tiny: 0.46 M parameters
    "10m": Shape(8, 320, 5, 5, 896, 512),  # 10.3 M
    "1b": Shape(16, 2048, 32, 8, 8192, 128_256),  # of Llama 3.2 1B: 1.24 G
}


class Problem(NamedTuple):
    """Token ids; `rewrites[k]` mends `samples[k]`."""

    prompt: list[int]
    reference: list[int]
    samples: list[list[int]]
    rewrites: list[list[int]]


@dataclass(frozen=True)
class Material:
    name: str
    tokenizer: PreTrainedTokenizerBase
    problems: list[Problem]

    def model(self, at: torch.device, seed: int = SEED) -> LlamaForCausalLM:
        """The model from random weights, in evaluation mode; the same for the same seed."""
        shape = SHAPES[self.name]
        config = LlamaConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.width,
            intermediate_size=shape.feed_forward,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.key_heads,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
            initializer_range=0.02,
            bos_token_id=None,
            eos_token_id=self.tokenizer.eos_token_id,
            pad_token_id=self.tokenizer.pad_token_id,
        )
        with torch.random.fork_rng(devices=[]), torch.device(at):
            torch.manual_seed(seed)
            return LlamaForCausalLM(config).eval()


def material(name: str, problems: int, samples: int = 4) -> Material:
    """Problems with as many samples each, for a model of SHAPES."""
    if name == "1b":
        tokenizer = tiny.train_tokenizer(["Random ids need no text."], 300)
        return Material(name, tokenizer, [random_problem(number, samples) for number in range(problems)])
    from tasks.datasets import arithmetic
    from tasks.prompts import all_text

    rows = [record for _, (_, record) in zip(range(max(problems, 300)), arithmetic.rows("train"), strict=False)]
    tokenizer = tiny.train_tokenizer((all_text({**row, "options": None}) for row in rows), SHAPES[name].vocabulary)
    return Material(name, tokenizer, [generated(tokenizer, row, samples) for row in rows[:problems]])


def generated(tokenizer: PreTrainedTokenizerBase, row: dict[str, object], samples: int) -> Problem:
    """A generated problem with different wrong samples of it."""
    from tasks.prompts import solution_completion, solve_prompt

    draw = random.Random(str(row["question"]))
    found: dict[str, str] = {}
    while len(found) < samples:
        text = reworded(draw, str(row["solution"]))
        found[one_digit_changed(draw, text)] = text
    return Problem(
        solve_prompt(tokenizer, str(row["question"]), None),
        solution_completion(tokenizer, str(row["solution"])),
        [solution_completion(tokenizer, sample) for sample in found],
        [solution_completion(tokenizer, rewrite) for rewrite in found.values()],
    )


def reworded(draw: random.Random, solution: str) -> str:
    """Half of the steps begin with "So"."""
    *steps, answer = solution.split("\n")
    return "\n".join([*(f"So {step}" if draw.random() < 0.5 else step for step in steps), answer])


def one_digit_changed(draw: random.Random, text: str) -> str:
    place = draw.choice([place for place, letter in enumerate(text) if letter.isdigit()])
    return text[:place] + draw.choice([digit for digit in "0123456789" if digit != text[place]]) + text[place + 1 :]


def random_problem(number: int, samples: int) -> Problem:
    """Random ids: a prompt of about 100 tokens, solutions of about 150, samples that part from each other early."""
    draw = random.Random(number)

    def ids(least: int, most: int) -> list[int]:
        return [draw.randrange(1000, 120_000) for _ in range(draw.randint(least, most))]

    def sample() -> list[int]:
        begun = draw.randint(0, 60)
        return reference[:begun] + ids(60, 150)

    def mended(wrong: list[int]) -> list[int]:
        place = draw.randrange(len(wrong))
        return [*wrong[:place], draw.randrange(1000, 120_000), *wrong[place + 1 :]]

    prompt, reference = ids(60, 140), ids(100, 200)
    wrong = [sample() for _ in range(samples)]
    return Problem(prompt, reference, wrong, [mended(one) for one in wrong])


def unshared(problems: Sequence[Problem]) -> list[Problem]:
    """One sample and one rewrite for each prompt, each taken from another problem."""
    count = len(problems)
    return [
        problem._replace(
            samples=[problems[(row + 1) % count].samples[0]], rewrites=[problems[(row + 2) % count].rewrites[0]]
        )
        for row, problem in enumerate(problems)
    ]


def with_references(model: LlamaForCausalLM, examples: Sequence[Example]) -> list[Example]:
    """The examples with reference log-probabilities: those of the model, each off by a tenth of a nat, so that ratios
    are not all 1."""
    from models.logprobs import completion_logprobs

    noise = torch.Generator().manual_seed(SEED)
    found = dict(completion_logprobs(model, examples))
    return [
        replace(example, reference_logprobs=(found[row] + 0.1 * torch.randn(len(found[row]), generator=noise)).tolist())
        for row, example in enumerate(examples)
    ]


def tokens(examples: Sequence[Example]) -> int:
    """Those of prompts and completions, without padding, however much they share."""
    return sum(map(len, examples))


def distinct_share(examples: Sequence[Example]) -> float:
    """The share of tokens that are left where a beginning that several examples share counts once."""
    seen = set(beginnings(examples))
    return len(seen) / tokens(examples)


def beginnings(examples: Sequence[Example]) -> Iterator[int]:
    """A number for each beginning of each example, the same for the same ids."""
    for example in examples:
        running = 0
        for token in (*example.prompt_ids, *example.completion_ids):
            running = hash((running, token))
            yield running
