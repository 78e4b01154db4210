"""Stage `warm_up`: supervised fine-tuning of a policy from random weights on reference solutions.

How well the starting policy does decides how much RLMEC can teach it, and accuracy rises in a phase transition
(of the prototype: 500 updates 11 %, 660 36 %, 800 81 %). So the warm-up stops on accuracy over the development
problems, when that enters a wanted band, rather than after a number of updates.

The policy is an exponential moving average of the weights. At a rate that trains fast, the weights of the moment
solve far less than their average (on `tiny` 46 % against 72 %), and any later training at a lower rate would then
look like a gain of its method.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, Field

from models import policy, processes, tiny
from models.batch import Example
from models.loop import Optimisation
from tasks.fit import IMITATION, History, batches, fit, imitated
from tasks.intervals import wilson
from tasks.progress import Log, silent
from tasks.prompts import all_text, solution_completion, solve_prompt
from tasks.records import derive_seed, read_table
from tasks.solve import accuracy
from tasks.work import ALONE, Work

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Architecture(BaseModel, extra="forbid", frozen=True):
    """The Llama that starts from random weights."""

    layers: int = Field(3, gt=0)
    width: int = Field(96, gt=0, description="hidden size; a multiple of heads")
    heads: int = Field(3, gt=0)
    feed_forward: int = Field(288, gt=0)
    vocabulary: int = Field(512, ge=300, description="most tokens of the tokenizer, trained on the training split")


class WarmUpOptions(BaseModel, extra="forbid", frozen=True):
    architecture: Architecture = Architecture()
    updates: int = Field(2000, gt=0, description="most optimiser updates")
    batch_size: int = Field(32, gt=0, description="examples in one update")
    optimisation: Optimisation = Optimisation(learning_rate=3e-3)
    band: tuple[float, float] | None = Field(
        None, description="wanted development accuracy: stop once it is surely above the lower end"
    )
    averaging: float = Field(0.98, ge=0, lt=1, description="decay of the moving average of the weights; 0 for none")
    check_every: int = Field(
        40, gt=0, description="updates between two looks at development accuracy; near the band, a quarter of that"
    )
    check_problems: int = Field(300, gt=0, description="development problems in a look")
    max_new_tokens: int = Field(128, gt=0)
    batch_size_solving: int = Field(64, gt=0, description="development problems solved at once")
    device: str = "auto"


def warm_up(
    options: WarmUpOptions, inputs: Mapping[str, Path], out: Path, *, seed: int, log: Log = silent, work: Work = ALONE
) -> None:
    """inputs: train, development (problems tables). Writes model.

    Logs development_accuracy at each look, and band_reached (0 or 1) where a band is wanted.
    """
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    problems = list(read_table("problems", inputs["train"]).iter_rows(named=True))
    development = list(read_table("problems", inputs["development"]).head(options.check_problems).iter_rows(named=True))
    shape = options.architecture
    tokenizer = tiny.train_tokenizer(map(all_text, problems), shape.vocabulary)
    model = tiny.new_llama(tokenizer, shape.layers, shape.width, shape.heads, shape.feed_forward, seed)
    model.to(policy.device(options.device))  # type: ignore[arg-type]
    examples = [reference_example(tokenizer, problem) for problem in problems]
    steps = batches(examples, options.batch_size, derive_seed(seed, "order"))
    decoding = policy.Decoding(options.max_new_tokens)
    history, looks = History(log), Looks(options.check_every)
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(options.averaging))
    average = cast("PreTrainedModel", averaged.module).eval()
    for done in fit(
        model,
        steps,
        options.updates,
        IMITATION,
        options.optimisation,
        "warm_up",
        history,
        replace(work, sharded=False),  # so small a model is whole everywhere
        seed,
        [averaged, looks],
        longest=max(examples, key=len),
    ):
        averaged.update_parameters(model)
        if done < min(looks.next, options.updates):
            continue
        looked = accuracy(average, tokenizer, development, decoding, options.batch_size_solving)
        reached, *_ = processes.gathered(looked)  # of several processes all must stop, or none
        history({"development_accuracy": reached}, done)
        looks.reached, looks.next = reached, done + until_next_look(options, reached)
        if options.band and is_surely_above(options.band[0], reached, len(development)):
            break
    log({"updates": done, "parameters": sum(tensor.numel() for tensor in model.parameters())})
    if options.band:
        log({"band_reached": float(options.band[0] <= looks.reached <= options.band[1])})
    policy.save(average, tokenizer, out / "model")


@dataclass
class Looks:
    """After how many updates to look at development accuracy next, and what the last look saw."""

    next: int
    reached: float = 0.0

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.next, self.reached = state_dict["next"], state_dict["reached"]


def until_next_look(options: WarmUpOptions, reached: float) -> int:
    """Updates until the next look: fewer near the band, since there accuracy has risen by 16 points in 75."""
    is_near = options.band is not None and reached > 0.75 * options.band[0]
    return max(1, options.check_every // 4) if is_near else options.check_every


def is_surely_above(wanted: float, reached: float, problems: int) -> bool:
    """Whether the lower end of the 95 % Wilson interval of an accuracy is above `wanted`.

    The first look at or above it would often be a lucky one: a policy of 65 % was once stopped at 71 %.
    """
    return wilson(round(reached * problems), problems)[0] > wanted


def reference_example(
    tokenizer: PreTrainedTokenizerBase, problem: Mapping[str, Any], verdict: bool | None = None
) -> Example:
    """A problem's reference solution, to be imitated after the prompt that the policy is sampled with."""
    prompt = solve_prompt(tokenizer, problem["question"], problem["options"], verdict)
    return imitated(prompt, solution_completion(tokenizer, problem["solution"]))
