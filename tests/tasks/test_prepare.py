"""Stage prepare: what is kept, what is set aside, what stops it."""

import json
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from tasks.datasets import module_name
from tasks.errors import UserError
from tasks.prepare import PrepareOptions, limit, prepare
from tasks.records import read_table


def problem(number: int, **changes: object) -> dict[str, object]:
    """A good record: number + 1."""
    good = {"question": f"What is {number}+1?", "solution": f"{number}+1={number + 1}", "answer": number + 1}
    return good | changes


def write(file: Path, records: list[dict[str, object]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset folder of 40 training, 10 development and 10 test problems, all different."""
    for name, numbers in {"train": range(40), "dev": range(100, 110), "test": range(200, 210)}.items():
        write(tmp_path / f"data/{name}.jsonl", [problem(number) for number in numbers])
    return tmp_path / "data"


def prepared(tmp_path: Path, **options: object) -> tuple[dict[str, pl.DataFrame], dict[str, float]]:
    """The three problem tables, overlap and rejected, and the logged numbers."""
    out = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
    out.mkdir()
    numbers: dict[str, float] = {}
    prepare(
        PrepareOptions(**options),
        {},
        out,
        seed=0,
        log=lambda metrics, step=None: numbers.update(metrics),
    )
    assert {path.name for path in out.iterdir()} == {
        "train.parquet", "development.parquet", "benchmarks.parquet", "rejected.jsonl", "overlap.parquet",
    }  # fmt: skip
    tables = {name: read_table("problems", out / f"{name}.parquet") for name in ("train", "development", "benchmarks")}
    tables["overlap"] = pl.read_parquet(out / "overlap.parquet")
    tables["rejected"] = pl.DataFrame([json.loads(line) for line in (out / "rejected.jsonl").read_text().splitlines()])
    return tables, numbers


def test_a_folder_gives_its_splits_and_counts_them(tmp_path, folder):
    tables, numbers = prepared(tmp_path, dataset=str(folder), benchmarks=["test"])
    assert [tables[name].height for name in ("train", "development", "benchmarks")] == [40, 10, 10]
    assert tables["train"]["solution"][0] == "0+1=1\nThe answer is 1."
    assert set(tables["benchmarks"]["source"]) == {"test"}
    assert numbers == {
        "problems/train": 40, "problems/development": 10, "problems/test": 10,
        "rejected": 0, "duplicates": 0, "repeated_options": 0, "overlap": 0,
        # "What is 3+1?" and "What is 200+1?" share 4 of 5 words
        "overlap/test/exact": 0, "overlap/test/near": 40, "overlap/test/nearly_asked": 10,
        "overlap/development/exact": 0, "overlap/development/near": 40, "overlap/development/nearly_asked": 10,
    }  # fmt: skip


def test_training_problems_that_are_measured_or_tuned_on_are_dropped_and_listed(tmp_path, folder):
    spaced = problem(200, question="what  is 200+1?")  # as test asks it, but for case and spaces
    write(folder / "train.jsonl", [*(problem(number) for number in range(40)), spaced, problem(105)])
    tables, numbers = prepared(tmp_path, dataset=str(folder), benchmarks=["test"])
    exact = tables["overlap"].filter(kind="exact")
    assert tables["train"].height == 40
    assert exact["benchmark"].to_list() == ["test", "development"]
    assert exact["benchmark_problem_id"][0] == tables["benchmarks"]["problem_id"][0]
    assert not set(exact["problem_id"]) & set(tables["train"]["problem_id"])
    assert numbers["overlap"] == 2
    assert (numbers["overlap/test/exact"], numbers["overlap/development/exact"]) == (1, 1)


STORY = "Bella has {} apples. She buys {} more and eats {}. How many apples are left?"  # 16 words


@pytest.fixture
def stories(tmp_path: Path) -> Path:
    """A folder whose training and test problems are an exact pair, a story told with other numbers, and others."""
    trained = [STORY.format(12, 3, 2), "A train needs 5 hours. When does it arrive?", "How old is Max?"]
    tested = ["how old is Max?", STORY.format(40, 7, 5), "Name a colour."]
    for name, questions in {"train": trained, "dev": ["Which way?"], "test": tested}.items():
        write(tmp_path / f"stories/{name}.jsonl", [problem(0, question=question) for question in questions])
    return tmp_path / "stories"


def test_near_duplicates_are_listed_and_counted_and_stay(tmp_path, stories):
    tables, numbers = prepared(tmp_path, dataset=str(stories), benchmarks=["test"])
    assert tables["overlap"].select("benchmark", "kind", "similarity", "question", "benchmark_question").rows() == [
        ("test", "exact", 100.0, "How old is Max?", "how old is Max?"),
        ("test", "near", 81.2, STORY.format(12, 3, 2), STORY.format(40, 7, 5)),  # 13 of 16 words: 81.25
    ]
    assert tables["train"]["question"].to_list() == [
        STORY.format(12, 3, 2),
        "A train needs 5 hours. When does it arrive?",
    ]
    assert {name: number for name, number in numbers.items() if "overlap" in name} == {
        "overlap": 1,
        "overlap/test/exact": 1, "overlap/test/near": 1, "overlap/test/nearly_asked": 1,
        "overlap/development/exact": 0, "overlap/development/near": 0, "overlap/development/nearly_asked": 0,
    }  # fmt: skip


def test_near_duplicates_are_dropped_where_the_option_says_so(tmp_path, stories):
    options = {"dataset": str(stories), "benchmarks": ["test"], "near_duplicates": "drop"}
    tables, numbers = prepared(tmp_path, **options)
    assert tables["train"]["question"].to_list() == ["A train needs 5 hours. When does it arrive?"]
    assert tables["overlap"]["kind"].to_list() == ["exact", "near"]
    assert (numbers["overlap"], numbers["overlap/test/near"]) == (2, 1)
    tables, numbers = prepared(tmp_path, **options, near_duplicate_similarity=82)
    assert (tables["train"].height, numbers["overlap"], numbers["overlap/test/near"]) == (2, 1, 0)


def test_near_duplicates_of_the_development_split_count_too(tmp_path, stories):
    write(stories / "dev.jsonl", [problem(0, question=STORY.format(9, 9, 9))])
    tables, _ = prepared(tmp_path, dataset=str(stories), benchmarks=["test"], near_duplicates="drop")
    assert tables["overlap"]["benchmark"].to_list() == ["test", "test", "development"]


def test_near_duplicates_need_not_be_looked_for(tmp_path, stories):
    tables, numbers = prepared(tmp_path, dataset=str(stories), benchmarks=["test"], near_duplicates="off")
    assert tables["overlap"]["kind"].to_list() == ["exact"]
    assert "overlap/test/exact" in numbers
    assert "overlap/test/near" not in numbers  # 0 would say that there are none


def test_dropping_all_is_refused_with_what_to_do(tmp_path, folder):
    with pytest.raises(
        UserError, match=r"every training problem, exactly or nearly: raise prepare\.near_duplicate_sim"
    ):
        prepared(tmp_path, dataset=str(folder), benchmarks=["test"], near_duplicates="drop")


@pytest.mark.parametrize(
    "options",
    [{"near_duplicate_similarity": wrong} for wrong in (0, -1, 100.5, float("nan"), "high")]
    + [{"near_duplicates": "keep"}],
)
def test_a_threshold_out_of_range_and_an_unknown_choice_are_refused(options):
    with pytest.raises(ValidationError, match=next(iter(options))):
        PrepareOptions(**options)


def test_the_overlap_does_not_depend_on_the_benchmark_limit(tmp_path, folder):
    write(folder / "train.jsonl", [problem(number) for number in (*range(40), *range(200, 210))])
    tables, numbers = prepared(tmp_path, dataset=str(folder), benchmarks=["test"], benchmark_problems=1)
    assert (tables["train"].height, tables["benchmarks"].height, numbers["overlap"]) == (40, 1, 10)


def test_problems_asked_twice_in_training_are_kept_once(tmp_path, folder):
    twice = [problem(3), problem(4, id="other"), problem(5, question="WHAT is 5+1?")]
    write(folder / "train.jsonl", [*(problem(number) for number in range(40)), *twice])
    tables, numbers = prepared(tmp_path, dataset=str(folder), benchmarks=["test"])
    assert tables["train"].height == 40
    assert numbers["duplicates"] == 3  # word for word, under another id, in other letters


def test_a_few_bad_rows_are_set_aside_with_their_reasons(tmp_path, folder):
    bad = problem(50)
    del bad["answer"]
    write(folder / "train.jsonl", [*(problem(number) for number in range(39)), bad])  # 1 of 40 is 2.5 %
    tables, numbers = prepared(tmp_path, dataset=str(folder), benchmarks=["test"])
    assert numbers["rejected"] == 1
    assert tables["rejected"].to_dicts() == [
        {
            "dataset": str(folder),
            "split": "train",
            "where": "train.jsonl line 40",
            "reason": "field 'answer' is missing",
        }
    ]


def test_more_than_five_percent_bad_rows_stop_the_run(tmp_path, folder):
    bad = [problem(number, question=" ") for number in range(3)]
    write(folder / "train.jsonl", [*(problem(number) for number in range(40)), *bad])  # 3 of 43 is 7 %
    with pytest.raises(UserError, match=r"data: 3 of 43 rows .* train\.jsonl line 41: its question is empty"):
        prepared(tmp_path, dataset=str(folder), benchmarks=["test"])


def test_a_limit_is_a_fixed_subset_and_a_smaller_one_a_part_of_it(tmp_path, folder):
    kept = [
        prepared(tmp_path, dataset=str(folder), benchmarks=["test"], train_problems=most)[0]["train"]
        for most in (30, 10, 10)
    ]
    ids = [set(table["problem_id"]) for table in kept]
    assert [len(some) for some in ids] == [30, 10, 10]
    assert ids[1] == ids[2] < ids[0]
    assert limit(kept[0], 99).equals(kept[0])


def test_a_benchmark_may_be_another_path_and_is_taken_whole(tmp_path, folder):
    own = write(tmp_path / "mine.jsonl", [problem(number) for number in range(300, 307)])
    tables, _ = prepared(tmp_path, dataset=str(folder), benchmarks=["test", str(own)])
    assert tables["benchmarks"].group_by("source").len().sort("len").rows() == [(str(own), 7), ("test", 10)]


def test_a_single_file_is_split_and_a_benchmark_of_the_same_file_is_its_test_part(tmp_path):
    own = write(tmp_path / "mine.jsonl", [problem(number) for number in range(200)])
    by_name, numbers = prepared(tmp_path, dataset=str(own), benchmarks=["test"])
    by_path, _ = prepared(tmp_path, dataset=str(own), benchmarks=[str(own)])
    assert sum(by_name[name].height for name in ("train", "development", "benchmarks")) == 200
    assert by_name["benchmarks"]["problem_id"].equals(by_path["benchmarks"]["problem_id"])
    assert (numbers["overlap"], numbers["overlap/test/exact"]) == (0, 0)


def test_a_published_benchmark_is_read_from_its_own_folder(tmp_path, folder):
    item = {"ID": "chal-1", "Body": "Dan had $ 4", "Question": "How much?", "Equation": "4.0", "Answer": 4.0}
    (tmp_path / "svamp").mkdir()
    (tmp_path / "svamp/test.json").write_text(json.dumps([item]))
    options = {"dataset": str(folder), "benchmarks": ["svamp"], "paths": {"svamp": str(tmp_path / "svamp")}}
    tables, _ = prepared(tmp_path, **options)
    assert tables["benchmarks"].select("source", "answer").rows() == [("svamp", "4")]
    assert PrepareOptions(**options).parts() == [module_name("jsonl"), module_name("svamp")]
    assert PrepareOptions(**options).files() == [folder, tmp_path / "svamp"]


def test_options_listed_twice_are_counted_over_all_splits_and_subjects_reach_the_benchmarks(tmp_path, folder):
    item = {"question": "2*2?", "subject": "elementary_mathematics", "choices": ["4", "4", "2"], "answer": 0}
    (tmp_path / "mmlu_math").mkdir()
    (tmp_path / "mmlu_math/test.json").write_text(json.dumps([item, item | {"question": "8/2?"}]))
    write(folder / "train.jsonl", [problem(1, options=["2", "2"]), *(problem(number) for number in range(2, 40))])
    options = {"benchmarks": ["test", "mmlu_math"], "paths": {"mmlu_math": str(tmp_path / "mmlu_math")}}
    tables, numbers = prepared(tmp_path, dataset=str(folder), **options)
    assert numbers["repeated_options"] == 1 + 2
    assert tables["benchmarks"]["subject"].to_list() == [None] * 10 + ["elementary_mathematics"] * 2


def test_the_offline_dataset_needs_no_files(tmp_path):
    tables, _ = prepared(
        tmp_path, train_problems=20, development_problems=20, benchmark_problems=20, near_duplicates="off"
    )
    assert tables["benchmarks"]["source"].unique(maintain_order=True).to_list() == ["test", "hard", "big"]
    assert [tables[name].height for name in ("train", "development", "benchmarks")] == [20, 20, 60]
    assert tables["overlap"].is_empty()
    assert (PrepareOptions().parts(), PrepareOptions().files()) == (["tasks.datasets.arithmetic"], [])


def test_the_same_options_give_the_same_bytes(tmp_path, folder):
    outs = [tmp_path / "a", tmp_path / "b"]
    for seed, out in enumerate(outs):
        out.mkdir()
        prepare(PrepareOptions(dataset=str(folder), benchmarks=["test"]), {}, out, seed=seed)
    for name in ("train.parquet", "development.parquet", "benchmarks.parquet", "overlap.parquet"):
        assert (outs[0] / name).read_bytes() == (outs[1] / name).read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"benchmarks": ["tset"]}, "no benchmark is named 'tset': did you mean 'test'"),
        ({"benchmarks": ["train"]}, "no benchmark is named 'train'"),
        ({"benchmarks": []}, "at least one"),
        ({"benchmarks": ["test", "test"]}, "each named once"),
        ({"benchmarks": ["nowhere/there.jsonl"]}, "nowhere/there.jsonl: there is no such file"),
        ({"dataset": "gsm9k", "benchmarks": ["test"]}, "there is no dataset .* 'gsm9k': did you mean 'gsm8k'"),
        ({"dataset": "svamp", "benchmarks": ["test"]}, "svamp has no split 'train'"),
    ],
)
def test_names_that_do_not_exist_are_named_with_the_nearest(tmp_path, folder, options, message):
    with pytest.raises(UserError, match=message):
        prepared(tmp_path, **({"dataset": str(folder)} | options))


def test_the_modules_of_a_benchmark_that_does_not_exist_are_asked_in_vain(folder):
    with pytest.raises(UserError, match="no benchmark is named 'tset'"):
        PrepareOptions(dataset=str(folder), benchmarks=["tset"]).parts()


def test_an_empty_split_is_named(tmp_path, folder):
    write(folder / "test.jsonl", [])
    with pytest.raises(UserError, match="its test split has no problems"):
        prepared(tmp_path, dataset=str(folder), benchmarks=["test"])


def test_training_only_on_benchmark_questions_is_refused(tmp_path, folder):
    write(folder / "train.jsonl", [problem(number) for number in range(200, 210)])
    with pytest.raises(UserError, match="asks every training problem"):
        prepared(tmp_path, dataset=str(folder), benchmarks=["test"])


def test_several_datasets_are_trained_on_together_and_a_folder_may_hold_them_all(tmp_path, folder):
    extra = write(tmp_path / "extra.jsonl", [problem(number) for number in range(300, 340)])
    tables, numbers = prepared(tmp_path, dataset=[str(folder), str(extra)], benchmarks=[str(folder)])
    # the 40 of the folder, and of the file what its hash gives to training: with development and test 40 again
    assert set(tables["train"]["source"]) == {"data", "extra"}
    own = tables["train"].filter(pl.col("source") == "extra").height
    assert tables["train"].height == 40 + own == numbers["problems/train"]
    assert 0 < own < 40
    assert tables["benchmarks"].height == 10


def test_without_a_dataset_only_benchmarks_are_read(tmp_path, folder):
    tables, numbers = prepared(tmp_path, dataset=None, benchmarks=[str(folder), "arithmetic:hard"])
    assert [tables[name].height for name in ("train", "development")] == [0, 0]
    assert tables["benchmarks"]["source"].unique(maintain_order=True).to_list() == [str(folder), "arithmetic:hard"]
    assert tables["benchmarks"].filter(pl.col("source") == "arithmetic:hard")["split"].unique().to_list() == ["hard"]
    assert numbers["problems/arithmetic:hard"] == 1000


def test_the_folder_of_one_dataset_is_its_own_and_of_several_holds_one_each(tmp_path):
    for name in ("gsm8k", "svamp"):
        (tmp_path / name).mkdir()
    one = PrepareOptions(dataset="gsm8k", path="data", benchmarks=["svamp"], paths={"svamp": "elsewhere"})
    assert (one.folder("gsm8k"), one.folder("svamp")) == ("data", "elsewhere")
    several = PrepareOptions(dataset=["gsm8k", "arithmetic"], path=str(tmp_path), benchmarks=["svamp"])
    assert several.folder("gsm8k") == str(tmp_path / "gsm8k")
    assert several.folder("svamp") == str(tmp_path / "svamp")
    assert several.folder("arithmetic") is None
    with pytest.raises(UserError, match=r"math: no such folder; the data path holds one for each dataset"):
        several.folder("math")
