"""Keys depend on what a stage's result depends on, and on nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from flows import key
from flows.digests import content_digest, manifest_of, output_digest
from tasks.errors import UserError


class Options(BaseModel):
    rate: float = 0.1
    module: str = ""
    data: str = ""

    def parts(self) -> list[str]:
        return [self.module] if self.module else []

    def files(self) -> list[Path]:
        return [Path(self.data)] if self.data else []


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package `shelf` that imports in every way there is."""
    root = tmp_path / "shelf"
    (root / "sub").mkdir(parents=True)
    (root / "__init__.py").write_text("")
    (root / "sub" / "__init__.py").write_text("")
    (root / "stage.py").write_text(
        '"""A stage."""\nfrom shelf import first\nimport shelf.second\n\n\n'
        "def stage():\n    from .sub.third import thing\n    return thing\n"
    )
    for name in ("first.py", "second.py", "unused.py", "named.py"):
        (root / name).write_text("x = 1\n")
    (root / "sub" / "third.py").write_text("from . import fourth\nthing = 3\n")
    (root / "sub" / "fourth.py").write_text("import json\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield root
    key.read.cache_clear()


def digest(options: Options | None = None) -> str:
    key.read.cache_clear()
    return key.code_digest("shelf.stage", options or Options(), ("shelf",))


@pytest.mark.usefixtures("package")
def test_sources_are_followed_through_every_form_of_import():
    names = set(key.sources(["shelf.stage"], ("shelf",)))
    assert names == {
        "shelf", "shelf.stage", "shelf.first", "shelf.second",
        "shelf.sub", "shelf.sub.third", "shelf.sub.fourth",
    }  # fmt: skip


def test_code_counts_and_comments_docstrings_and_layout_do_not(package):
    before = digest()
    path = package / "first.py"
    path.write_text('"""Now with words."""\n\n# a comment\nx   =  1\n')
    assert digest() == before
    path.write_text("x = 2\n")
    assert digest() != before


def test_a_functions_docstring_is_none_of_its_code_but_another_text_is(package):
    path = package / "first.py"
    path.write_text('def f():\n    """Old."""\n    return "a"\n')
    before = digest()
    path.write_text('def f():\n    """New."""\n    return "a"\n')
    assert digest() == before
    path.write_text('def f():\n    """New."""\n    return "b"\n')
    assert digest() != before


def test_code_that_a_stage_does_not_import_does_not_count(package):
    before = digest()
    (package / "unused.py").write_text("x = 2\n")
    assert digest() == before


def test_a_module_that_options_name_counts(package):
    plain, named = digest(), digest(Options(module="shelf.named"))
    assert named != plain
    (package / "named.py").write_text("x = 2\n")
    assert digest() == plain
    assert digest(Options(module="shelf.named")) != named


def test_a_key_changes_with_each_thing_it_holds():
    keys = {
        key.stage_key(stage, code, Options(rate=rate), seed, {"a": given})
        for stage, code, rate, seed, given in [
            ("s", "c", 0.1, 0, "1"), ("t", "c", 0.1, 0, "1"), ("s", "d", 0.1, 0, "1"),
            ("s", "c", 0.2, 0, "1"), ("s", "c", 0.1, 1, "1"), ("s", "c", 0.1, None, "1"),
            ("s", "c", 0.1, 0, "2"),
        ]
    }  # fmt: skip
    assert len(keys) == 7


def test_the_order_of_inputs_does_not_matter():
    first = key.stage_key("s", "c", Options(), 0, {"a": "1", "b": "2"})
    assert key.stage_key("s", "c", Options(), 0, {"b": "2", "a": "1"}) == first


def test_a_users_file_counts_by_content_and_one_that_is_gone_is_named(tmp_path):
    data = tmp_path / "mine.jsonl"
    data.write_text("1")
    options = Options(data=str(data))
    before = key.stage_key("s", "c", options, None, {})
    assert key.stage_key("s", "c", options, None, {}) == before
    data.write_text("2 and more")
    assert key.stage_key("s", "c", options, None, {}) != before
    data.unlink()
    with pytest.raises(UserError, match=r"mine\.jsonl: no such file"):
        key.stage_key("s", "c", options, None, {})


def test_keys_and_seeds_are_the_same_in_another_process():
    program = (
        "from flows import key\nfrom tasks.align import AlignOptions as O\n"
        "print(key.stage_key('align', key.code_digest('tasks.align', O()), O(), 3, {'b': '1', 'a': '2'}))\n"
        "print(key.stage_seed(0, 'sample'))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(key.__file__).parents[1])},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert outputs.pop().splitlines()[1] == str(key.stage_seed(0, "sample"))


def test_stages_and_seeds_draw_different_seeds():
    seeds = [key.stage_seed(seed, stage) for seed in range(50) for stage in ("sample", "warm_up")]
    assert len(set(seeds)) == 100
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_folder_has_one_digest_wherever_it_lies_and_in_a_manifest(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "model").mkdir(parents=True)
        (tmp_path / name / "model" / "weights").write_text("w")
        (tmp_path / name / "table.parquet").write_text("t")
    first, second = (tmp_path / name for name in ("one", "two"))
    assert content_digest(first / "model") == content_digest(second / "model")
    manifest = manifest_of(first)
    assert set(manifest) == {"model", "table"}
    assert output_digest("model", manifest["model"]) == content_digest(second / "model")
    assert output_digest("table", manifest["table"]) == content_digest(second / "table.parquet")
    (second / "model" / "weights").rename(second / "model" / "others")
    assert content_digest(first / "model") != content_digest(second / "model")
