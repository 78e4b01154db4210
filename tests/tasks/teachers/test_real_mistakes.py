"""The scripted teacher on published data: what is right comes of real mistakes, with fewer edits than the reference."""

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from rapidfuzz.distance import Levenshtein

from tasks.equations import every_equation_holds
from tasks.teachers import Problem, best_rewrite, scripted
from tasks.verify import verdict

BENCHMARK = Path(__file__).resolve().parents[3] / "benchmarks" / "teacher.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("teacher_benchmark", BENCHMARK)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_of_gpt3s_mistakes_95_percent_become_right_with_three_quarters_of_the_references_edits(
    benchmark, real_data
) -> None:
    if not (real_data / "gsm8k_model_solutions").is_dir():
        pytest.skip("RLMEC_DATA names no folder with gsm8k_model_solutions")
    given, distance = benchmark.mistakes(real_data), benchmark.token_distance(benchmark.tokenizer(real_data))
    assert len(given) == 1632
    done = list(benchmark.outcomes(given, benchmark.taught, distance))
    written = [outcome for outcome in done if outcome.rewrite is not None]
    for outcome in written:
        assert verdict(outcome.rewrite, outcome.mistake.problem).is_right
        assert every_equation_holds(outcome.rewrite)
    assert len(written) >= 0.95 * len(done)
    edits = sum(distance(outcome.mistake.sample, outcome.rewrite) for outcome in written)
    reference_edits = sum(distance(outcome.mistake.sample, outcome.mistake.problem["solution"]) for outcome in written)
    assert edits <= 0.75 * reference_edits
    assert sum(map(benchmark.is_reference, written)) <= 0.2 * len(done)


def with_choice(text: str, old: str, new: str) -> str:
    return re.sub(rf"(?<!\w){re.escape(old)}(?!\w)", new, text, flags=re.IGNORECASE)


def choice_mistakes(rows: list[dict]) -> list[tuple[str, dict, str, str]]:
    """(kind, row, wrong choice, sample): rationales that argue for a wrong choice, break off, or are another row's."""
    made = []
    for number, row in enumerate(rows):
        wrong = next(option for option in row["options"] if option.casefold() != row["answer"].casefold())
        rationale = row["solution"].rpartition("\n")[0]
        arguing = with_choice(rationale, row["answer"], wrong)
        other = rows[number - 1]["solution"].rpartition("\n")[0]
        made += [
            ("argues", row, wrong, f"{arguing}\nThe answer is {wrong}"),
            ("breaks off", row, wrong, arguing[: -len(rationale) // 4]),
            ("another's", row, wrong, f"{other}\nThe answer is {wrong}"),
            ("no rationale", row, wrong, f"The answer is {wrong}"),
        ]
    return made


@pytest.mark.parametrize("dataset", ["ecqa", "qasc"])
def test_rationales_for_another_choice_become_right_and_name_it_no_more(dataset, real_data) -> None:
    file = real_data / dataset / "test.jsonl"
    if not file.exists():
        pytest.skip(f"RLMEC_DATA names no folder with {dataset}/test.jsonl")
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()[:200]]
    for row in rows:
        row["question"], _, options = row["problem"].partition("\nOptions:\n")
        row["options"] = options.split("\n")
    shares: dict[str, list[float]] = {}
    for kind, row, wrong, sample in choice_mistakes(rows):
        task = Problem(row["question"], row["solution"], row["answer"], row["options"])
        found = scripted.candidates(task, sample)
        rewrite = best_rewrite(found, task, sample, lambda text, row=row: verdict(text, row).is_right, words_edited)
        assert rewrite is not None, (kind, sample)
        told = f"{row['question']}\n{row['solution']}"
        if kind != "another's" and with_choice(told, wrong, "") == told:
            assert with_choice(rewrite, wrong, "") == rewrite, (kind, sample)
        shares.setdefault(kind, []).append(words_edited(sample, rewrite) / words_edited(sample, row["solution"]))
    means = {kind: sum(values) / len(values) for kind, values in shares.items()}
    assert means["argues"] <= 1.0  # each word for the wrong choice must change, and these are all
    assert means["breaks off"] < 0.8
    assert means["another's"] < 0.95  # its lines go, all the reference's need not come
    assert means["no rationale"] < 0.65


def words_edited(sample: str, text: str) -> int:
    return Levenshtein.distance(*(re.findall(r"\w+|[^\w\s]|\n", side) for side in (sample, text)))
