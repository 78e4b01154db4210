"""L_IM = Σ w·(−log π) / #{w ≠ 0}, worked by hand."""

import torch

from models.batch import Example, collate
from models.objectives.weighted_nll import Objective


def test_edited_tokens_weigh_one_and_kept_tokens_one_half():
    batch = collate([Example([1], [2, 3, 4], {"weight": [1.0, 0.5, 0.0]})], torch.device("cpu"))
    logprobs = torch.tensor([[0.0, -2.0, -3.0, -4.0]])
    total, _ = Objective().total(logprobs, batch)
    # 1·2 + 0.5·3 + 0·4 = 3.5, over the 2 tokens with a weight.
    assert float(total) == 3.5
    assert int(Objective().count(batch)) == 2
