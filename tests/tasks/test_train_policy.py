"""What a batch is made of: the wanted share of wrong samples, each with the rewrite it brings."""

from itertools import islice
from types import SimpleNamespace

import pytest
import torch
from pydantic import ValidationError

from models.batch import Example
from tasks.errors import UserError
from tasks.fit import batches, shuffled_cycle
from tasks.train_policy import TrainPolicyOptions, mixed_batches, train_policy

RIGHT, WRONG, UNIMITATED = list(range(6)), list(range(6, 10)), [10, 11]


def brings(row):
    """A right sample brings itself, [10 + row]; a wrong one [14 + row], also its rewrite, [24 + row], if it has one."""
    if row in RIGHT:
        return [Example([1], [10 + row])]
    return [Example([2], [14 + row]), Example([2], [24 + row])][: 1 if row in UNIMITATED else 2]


def batches_of(options, wrong=WRONG, unimitated=()):
    lessons = SimpleNamespace(right=RIGHT, wrong=wrong, unimitated=unimitated, examples=brings)
    return mixed_batches(lessons, options, seed=0)


def ids(batch):
    return [example.completion_ids[0] for example in batch]


def is_wrong(example):
    return example.prompt_ids == [2] and example.completion_ids[0] < 30


def test_a_batch_has_the_wanted_share_of_wrong_samples_and_their_rewrites():
    options = TrainPolicyOptions(batch_size=10, wrong_share=0.4)
    for batch in islice(batches_of(options), 5):
        wrong = [example.completion_ids[0] for example in batch if is_wrong(example)]
        rewrites = [example.completion_ids[0] for example in batch if example.completion_ids[0] >= 30]
        assert len(wrong) == 4  # 0.4 · 10
        assert [name + 10 for name in wrong] == rewrites
        assert len(batch) == 6 + 4 + 4


def test_wrong_samples_without_a_rewrite_come_on_top_as_often_as_they_occur():
    """2 for 4 that have one: 2 more in a batch of 10 with 4 wrong ones. In the place of others they would cost
    rewrites, and token rewards would seem to do harm."""
    options = TrainPolicyOptions(batch_size=10, wrong_share=0.4)
    for plain, batch in islice(zip(batches_of(options), batches_of(options, unimitated=UNIMITATED), strict=True), 5):
        assert ids(batch)[: len(plain)] == ids(plain)
        assert sorted(ids(batch)[len(plain) :]) == [24, 25]


def test_without_a_wanted_share_every_sample_comes_once_a_pass():
    options = TrainPolicyOptions(batch_size=5, wrong_share=None)
    two = list(islice(batches_of(options), 2))
    samples = [example.completion_ids[0] for batch in two for example in batch if example.completion_ids[0] < 30]
    assert sorted(samples) == [10, 11, 12, 13, 14, 15, 20, 21, 22, 23]


def test_a_share_of_wrong_samples_needs_both_kinds():
    options = TrainPolicyOptions(batch_size=3, wrong_share=0.4)
    (batch,) = islice(batches_of(options, wrong=[]), 1)
    assert len(batch) == 3


def test_the_order_depends_on_the_seed_alone():
    first, again, other = (list(islice(shuffled_cycle(range(20), seed), 40)) for seed in (1, 1, 2))
    assert first == again != other
    assert sorted(first[:20]) == sorted(first[20:]) == list(range(20))


def test_batches_go_on_over_the_end_of_a_pass():
    sizes = [len(batch) for batch in islice(batches(RIGHT, 4, seed=0), 5)]
    assert sizes == [4, 4, 4, 4, 4]


def test_dropout_is_drawn_from_the_stages_seed_whatever_was_drawn_before(run, tmp_path):
    """Or a model that drops activations (GPT-2's kin, adapters with dropout) would learn otherwise in each process."""
    options = TrainPolicyOptions(imitate=("references",), objectives={"weighted_nll": {}}, updates=2, batch_size=2,
                                 lora={"rank": 2, "dropout": 0.5}, device="cpu",
                                 optimisation={"learning_rate": 1e-2})  # fmt: skip
    inputs, found = {name: run.paths[name] for name in ("policy", "problems")}, []
    for seed, drawn in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(drawn)
        train_policy(options, inputs, tmp_path, seed=seed)
        found.append((tmp_path / "model" / "model.safetensors").read_bytes())
    assert found[0] == found[1] != found[2]


def test_drawing_from_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing to draw"):
        next(shuffled_cycle([], 0))


def test_an_objective_that_is_not_there_or_not_fed_is_refused():
    with pytest.raises(ValidationError, match="nothing to learn"):
        TrainPolicyOptions(objectives={})
    with pytest.raises(ValidationError, match="names nothing to imitate"):
        TrainPolicyOptions(imitate=(), objectives={"weighted_nll": {}})
    with pytest.raises(UserError, match="there is no objective 'pairwize': did you mean 'pairwise'"):
        TrainPolicyOptions(objectives={"pairwize": {}})
