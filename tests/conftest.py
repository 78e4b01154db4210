"""Fixtures that many tests share: a very small policy from random weights, and real data where it is at hand."""

import os
from pathlib import Path

import pytest
import torch

from models import policy, tiny

TEXTS = [
    "Question: Tom has 12 apples. He buys 5 more. How many apples does Tom have now?\nSolution:\n",
    "Tom has 12+5=17 apples.\nThe answer is 17.",
    "Reference solution:\nStudent solution:\nCorrected solution:\nFirst wrong line:\n",
]


@pytest.fixture(autouse=True)
def one_thread():
    """The models here are so small that a second thread costs more than it gives."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer():
    return tiny.train_tokenizer(TEXTS * 3, 320)


@pytest.fixture(scope="session")
def model(tokenizer):
    return tiny.new_llama(tokenizer, layers=2, width=32, heads=2, feed_forward=64, seed=0).eval()


@pytest.fixture(scope="session")
def policy_folder(model, tokenizer, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("policy") / "model"
    policy.save(model, tokenizer, folder)
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of published datasets that RLMEC_DATA names."""
    folder = os.environ.get("RLMEC_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("RLMEC_DATA names no folder of published datasets")
    return Path(folder)
