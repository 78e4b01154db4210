"""The dataset that README adds, added."""

import json
import re
from pathlib import Path

import tasks
from tasks import datasets


def test_readmes_example_is_a_dataset_in_under_25_lines(tmp_path, monkeypatch):
    text = (Path(tasks.__file__).parents[1] / "README.md").read_text()
    (code,) = re.findall(r"```python\n(\"\"\"Riddles.*?)```", text, flags=re.DOTALL)
    assert len(code.splitlines()) < 25
    (tmp_path / "riddles.py").write_text(code)
    monkeypatch.setattr(datasets, "__path__", [*datasets.__path__, str(tmp_path)])
    assert "riddles" in datasets.names()
    lines = [{"riddle": "2+2?", "reason": "2+2=4", "answer": 4}, {"riddle": "3+3?", "reason": "3+3=6", "answer": 6}]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    problems = datasets.load("riddles", "test", tmp_path)
    assert problems["answer"].to_list() == ["4", "6"]
    assert problems["solution"][0] == "2+2=4\nThe answer is 4."
    assert datasets.describe("riddles").startswith("Riddles, one sentence each")
