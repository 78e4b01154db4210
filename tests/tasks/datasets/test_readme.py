"""The dataset that README.md shows how to add, added as it says."""

import re
import sys
from pathlib import Path

import pytest

from tasks import datasets

README = Path(datasets.__file__).parents[2] / "README.md"


@pytest.fixture
def example(tmp_path, monkeypatch):
    """README's module as a file beside the datasets, and a folder with the line that it says is published."""
    text = README.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (line,) = re.findall(r'^`(\{"query".*\})`', text, re.MULTILINE)
    (tmp_path / "capitals.py").write_text(code)
    (tmp_path / "test.jsonl").write_text(line + '\n{"query": "Why?"}\n')
    monkeypatch.setattr(datasets, "__path__", [*datasets.__path__, str(tmp_path)])
    yield code, tmp_path
    sys.modules.pop("tasks.datasets.capitals", None)
    vars(datasets).pop("capitals", None)


def test_readmes_example_is_a_dataset_in_under_25_lines(example):
    code, folder = example
    assert len(code.splitlines()) < 25
    assert datasets.describe("capitals") == (
        "Capitals, questions on cities with two options; test only [test]; https://example.org/capitals; CC0-1.0"
    )
    loaded = datasets.read("capitals", "test", folder)
    assert loaded.problems.select("answer", "solution").rows() == [("Lima", "The answer is Lima.")]
    assert "field 'choices' is missing" in loaded.rejected[0]["reason"]
