"""Micro-batches read at once by several threads: the same gradients, to the last bit, in the order of micro-batches."""

import copy
import threading

import pytest
import torch

from models import loop, policy
from models.batch import Example
from models.loop import Optimisation, train
from models.objectives import weighted_nll
from models.threads import in_threads, replica

EXAMPLES = [Example([1 + row], [2 + row] * (2 + row), {"weight": [1.0] * (2 + row)}) for row in range(6)]


def trained(model, threads, updates=3):
    model = copy.deepcopy(model)
    how = Optimisation(learning_rate=1e-2, warm_up_fraction=0, micro_batch_tokens=1)
    objectives = {"weighted_nll": weighted_nll.Objective()}
    reports = [report for _, report in train(model, [EXAMPLES] * updates, updates, objectives, how, threads=threads)]
    return [report["loss"] for report in reports], torch.cat([weights.flatten() for weights in model.parameters()])


def test_weights_do_not_depend_on_how_many_threads_there_are(model):
    losses, weights = trained(model, threads=1)
    for threads in (2, 3):
        same_losses, same = trained(model, threads)
        assert same_losses == losses
        assert torch.equal(same, weights)


def test_each_thread_reads_with_modules_of_its_own(model, monkeypatch):
    """Two threads are in the forward pass at the same time: each waits there for the other."""
    meeting, seen, read = threading.Barrier(2, timeout=20), set(), loop.token_logprobs

    def both(one, batch):
        seen.add(id(one))
        meeting.wait()
        return read(one, batch)

    monkeypatch.setattr(loop, "token_logprobs", both)
    trained(model, threads=2, updates=1)
    assert len(seen) == 2


def test_a_replica_has_the_same_weights_in_other_modules(model):
    other = replica(model)
    assert other is not model
    assert other.lm_head is not model.lm_head
    for one, same in zip(model.parameters(), other.parameters(), strict=True):
        assert one is same


def test_what_is_shared_among_threads_is_loaded_once(policy_folder):
    one, _ = policy.shared(policy_folder, torch.device("cpu"))
    other, _ = policy.shared(policy_folder, torch.device("cpu"))
    policy.forget_shared()
    assert one is not other
    assert next(one.parameters()) is next(other.parameters())


def test_results_come_in_order_and_an_error_reaches_the_caller():
    assert list(in_threads(lambda reader, item: item * item, "ab", range(5))) == [0, 1, 4, 9, 16]
    assert list(in_threads(lambda reader, item: reader, "a", range(2))) == ["a", "a"]

    def fails(reader, item):
        raise ValueError("no. 1" if item else "none")

    with pytest.raises(ValueError, match="none"):
        list(in_threads(fails, "ab", range(2)))
