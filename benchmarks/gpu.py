"""How much of a GPU's arithmetic is used: in training the policy, in training the GRM, and in scoring.

    python benchmarks/gpu.py --device cuda                          Llama, 1.2 G parameters, random weights, bf16
    python benchmarks/policy_step.py --models 1b --device cuda      the policy's update against TRL's
    python benchmarks/scoring.py --models 1b --device cuda          scoring against one sample at a time

torch and transformers suffice, and TRL for the second. Utilisation is the operations that the method needs, a second,
by the card's peak: 2 a weight and token in a forward pass (Kaplan et al., 2020, arXiv 2001.08361), of the output layer
for completions alone, and causal attention's own; three times that in training. Tokens are those of the examples
without padding, and what several rows begin with counts once. Peaks are NVIDIA's, dense bf16: half of
what the data sheets of H100 and H200 (SXM) give with sparsity (1,979 TFLOP/s), and 312 TFLOP/s of the A100.

Without a GPU nothing is measured, and the table says so.
"""

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any, NamedTuple

import torch
from material import SHAPES, Material, Shape, distinct_share, material, tokens, with_references
from measure import Table, command, machine, parsed_by, parser, seconds, settle, spread, verdict
from scoring import grm_examples, policy_examples, together

from models.batch import Example
from models.loop import Optimisation, train
from models.objectives import policy_gradient, weighted_nll

PEAKS = {"H200": 989.5, "H100": 989.5, "A100": 312.0}  # TFLOP/s
TRAINING, SCORING, OUTSIDE = 45.0, 60.0, 5.0  # percent
MICRO_BATCH, ROWS = 16_384, 64
NOT_MEASURED = "not measured"


class Job(NamedTuple):
    """One round, the operations that it needs, and the share of the peak that it should reach, in percent."""

    name: str
    act: Callable[[], Any]
    operations: float
    target: float


def forward_operations(shape: Shape, examples: Sequence[Example]) -> float:
    """Those of one forward pass over examples, of which what several begin with is read once."""
    size = shape.width // shape.heads
    own = 2 * shape.width**2 + 2 * shape.width * size * shape.key_heads + 3 * shape.width * shape.feed_forward
    body = 2 * shape.layers * own * tokens(examples)
    head = 2 * shape.width * shape.vocabulary * sum(len(example.completion_ids) for example in examples)
    attention = sum(2 * shape.layers * shape.width * len(example) ** 2 for example in examples)
    return (body + head + attention) * distinct_share(examples)


def jobs(given: Material, at: torch.device, micro_batch: int) -> list[Job]:
    """The three that the method spends its time on."""
    shape = SHAPES[given.name]
    how = Optimisation(learning_rate=1e-5, schedule="constant", micro_batch_tokens=micro_batch, precision="bf16")

    def update(examples: list[Example], objectives: Any) -> Callable[[], Any]:
        updates = train(given.model(at), repeat(examples), sys.maxsize, objectives, how)
        return lambda: next(updates)

    samples = policy_examples(given, given.problems)
    rewarded = [
        replace(one, scores={"reward": [0.3] * len(one.completion_ids)}, is_sample=True)
        for one in with_references(given.model(at), samples)
    ]
    rewrites = [
        Example(problem.prompt, ids, {"weight": [1.0] * len(ids)})
        for problem in given.problems
        for ids in problem.rewrites
    ]
    mends = [
        replace(example, scores={"weight": [1.0] * len(example.completion_ids)})
        for example in grm_examples(given, given.problems)
    ]
    imitation = {"weighted_nll": weighted_nll.Objective()}
    method = {"policy_gradient": policy_gradient.Objective(), **imitation}
    model = given.model(at).to(torch.bfloat16)
    lessons = [*rewarded, *rewrites]
    return [
        Job("training the policy", update(lessons, method), 3 * forward_operations(shape, lessons), TRAINING),
        Job("training the GRM", update(mends, imitation), 3 * forward_operations(shape, mends), TRAINING),
        Job("scoring", lambda: together(model, mends), forward_operations(shape, mends), SCORING),
    ]


def outside_kernels(act: Callable[[], Any], at: torch.device) -> float:
    """The percentage of time in which the GPU ran no kernel, by torch's profiler."""
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        took = seconds(act, at) * 1e6
    busy, end = 0.0, 0.0
    found = (event.time_range for event in profiled.events() if event.device_type == DeviceType.CUDA)
    for span in sorted(found, key=lambda span: span.start):
        busy += max(0.0, span.end - max(span.start, end))
        end = max(end, span.end)
    return 100 * (1 - busy / took)


def add(table: Table, job: Job, peak: float, rounds: int, at: torch.device) -> None:
    """The rows of a job; `peak` in TFLOP/s."""
    for _ in range(2):
        job.act()
    settle(at)
    used = [100 * job.operations / seconds(job.act, at) / peak / 1e12 for _ in range(rounds)]
    target = f"{job.target:g} % at least"
    table.add(job.name, f"{spread(used)} % of the peak", target, verdict(statistics.median(used), job.target))
    if at.type == "cuda":
        idle = outside_kernels(job.act, at)
        met = verdict(idle, OUTSIDE, at_most=True)
        table.add(f"{job.name}, time outside kernels", f"{idle:.1f} %", f"{OUTSIDE:g} % at most", met)


def peak_of(at: torch.device) -> float | None:
    """The card's peak in TFLOP/s, where it is known."""
    name = torch.cuda.get_device_name(at) if at.type == "cuda" else ""
    return next((peak for card, peak in PEAKS.items() if card in name), None)


def main() -> None:
    made = parser(__doc__, ("1b",))
    made.add_argument("--peak", type=float, help="of another card, in TFLOP/s; on a CPU too, to try the script")
    made.add_argument("--micro-batch", type=int, default=MICRO_BATCH, help=f"padded tokens (default: {MICRO_BATCH})")
    options = parsed_by(made)
    name, at = ("tiny" if options.small else options.models[0]), options.device
    table = Table("GPU", f"`{command(__file__, options)}`, on {machine()}.", ("", "median", "target", "met"))
    peak = options.peak or (1.0 if options.small else peak_of(at))
    if peak is None:
        for job, share in (("training the policy", TRAINING), ("training the GRM", TRAINING), ("scoring", SCORING)):
            table.add(job, NOT_MEASURED, f"{share:g} % of the peak at least", NOT_MEASURED)
        table.add("time outside kernels", NOT_MEASURED, f"{OUTSIDE:g} % at most", NOT_MEASURED)
        table.add("update of the policy against TRL's", NOT_MEASURED, "1.3 ×", NOT_MEASURED)
        table.notes.append("No GPU is at hand here. The commands: `python benchmarks/gpu.py --help`.")
    else:
        given = material(name, 2 if options.small else ROWS // 4)
        for job in jobs(given, at, options.micro_batch):
            add(table, job, peak, options.rounds, at)
    print(table.markdown())


if __name__ == "__main__":
    main()
