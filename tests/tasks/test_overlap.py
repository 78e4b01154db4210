"""Problems that ask the same: which count as exact and as near duplicates, and which pairs are listed."""

import polars as pl
import pytest

from tasks import datasets, overlap
from tasks.overlap import exact_overlap, near_overlap, question_key, without_duplicates

STORY = "Bella has 12 apples. She buys 3 more and eats 2. How many apples are left?"  # 16 words
SAME_STORY = "Bella has 40 apples. She buys 7 more and eats 5. How many apples are left?"  # 13 of 16 are the same
UNRELATED = "A train leaves at 9 and needs 2 hours. When does it arrive?"


def table(*questions: str, options: list[list[str] | None] | None = None) -> pl.DataFrame:
    """Problems with these questions, whose ids are the questions."""
    given = options or [None] * len(questions)
    problems = {"problem_id": questions, "question": questions, "options": given}
    return pl.DataFrame(problems, schema_overrides={"options": pl.List(pl.String)})


def near(ours: pl.DataFrame, theirs: pl.DataFrame, similarity: float = 70) -> list[tuple[str, str, float]]:
    found = near_overlap(ours, {"test": theirs}, similarity)
    assert set(found["kind"]) <= {"near"}
    return found.select("problem_id", "benchmark_problem_id", "similarity").rows()


def test_the_same_question_with_other_options_is_another_problem():
    assert question_key("Which?", ["a", "b"]) == question_key(" which? ", ["b", "A"])
    assert question_key("Which?", ["a", "b"]) != question_key("Which?", ["a", "c"])
    assert question_key("Which?", None) != question_key("Which?", ["a", "c"])


def test_of_problems_that_ask_the_same_the_first_is_kept():
    assert without_duplicates(table("Why?", "When?", "why ?", "WHY?"))["question"].to_list() == [
        "Why?",
        "When?",
        "why ?",
    ]


def test_an_exact_pair_is_listed_with_both_texts():
    found = exact_overlap(table(STORY, UNRELATED), {"mine": table(SAME_STORY), "test": table(STORY.upper())})
    assert found.to_dicts() == [
        {
            "problem_id": STORY, "benchmark": "test", "benchmark_problem_id": STORY.upper(),
            "kind": "exact", "similarity": 100.0,
            "question": STORY, "options": None, "benchmark_question": STORY.upper(), "benchmark_options": None,
        }
    ]  # fmt: skip


def test_the_same_story_with_other_numbers_is_near_and_an_unrelated_problem_is_not():
    found = near_overlap(table(UNRELATED, STORY), {"test": table(SAME_STORY)}, 70)
    assert found.columns == list(overlap.OVERLAP)
    assert found.select("problem_id", "benchmark", "kind").rows() == [(STORY, "test", "near")]
    assert found.select("question", "benchmark_question").rows() == [(STORY, SAME_STORY)]
    assert found["similarity"][0] == pytest.approx(100 * 26 / 32, abs=0.06)  # 81.25, told to one decimal


def test_a_bare_expression_with_other_numbers_is_another_problem():
    expressions = table("What is 12 * 3?"), table("What is 40 * 7?")  # 3 of 5 words: what, is, *
    assert near(*expressions) == []
    assert near(*expressions, similarity=60) == [("What is 12 * 3?", "What is 40 * 7?", 60.0)]


def test_a_pair_at_the_threshold_is_near():
    ours, theirs = table("a b c d e f g 1 2 3", "a b c d e f g 7 8 9"), table("a b c d e f g 4 5 6")  # 7 of 10 words
    assert len(near(ours, theirs, 70)) == 2
    assert near(ours, theirs, 70.1) == []


def test_operators_count_and_signs_that_only_set_formulas_do_not():
    assert near(table("$2 + 3$"), table("$2 - 3$"), 67) == []  # 2 of 3 words: 66.7
    assert near(table(r"\(2 + 3\)"), table("$2+3$.")) == [(r"\(2 + 3\)", "$2+3$.", 100.0)]


def test_the_options_of_a_choice_problem_are_part_of_what_it_asks():
    stem = "Where would you put it?"  # 5 words
    ours = table(stem, options=[["box", "shelf", "garden", "kitchen"]])
    assert near(ours, table(stem, options=[["garden", "box", "roof", "shelf"]])) == [(stem, stem, 88.9)]  # 8 of 9
    assert near(ours, table(stem, options=[["dog", "cat", "cow", "hen"]])) == []  # 5 of 9 words
    assert near(ours, table(stem)) == [(stem, stem, 71.4)]  # 5 + 5 of 9 + 5 words


def test_in_a_script_without_spaces_each_letter_is_a_word():
    assert near(table("小明有12个苹果"), table("小明有40个苹果")) == [
        ("小明有12个苹果", "小明有40个苹果", 85.7)
    ]  # 6 of 7


def test_questions_without_any_word_are_not_all_alike():
    assert near(table("???", "…"), table("!!")) == []


def test_nothing_is_near_to_nothing():
    assert near(table(), table(STORY)) == near(table(STORY), table()) == []


@pytest.mark.parametrize("cells", [1, 7, 2_000_000])
def test_each_problem_with_a_near_duplicate_stands_with_its_most_similar_one(monkeypatch, cells):
    """Whatever part of the pairs is compared at once: a, b, c against x, y, z and one that is like none of them."""
    monkeypatch.setattr(overlap, "CELLS", cells)
    a, b, c = "p q r s t u v w 1 2", "p q r s t u v w 3 4", "p q r s t u v w 5 6"
    x, y, z = "p q r s t u v w 1 4", "p q r s t u v w 3 9", "p q r s t u v w 8 8"
    # All nine pairs share at least 8 of 10 words; a-x, b-x and b-y share 9. Of equals, the first counts.
    assert near(table(a, UNRELATED, b, c), table(STORY, x, y, z)) == [
        (a, x, 90.0), (b, x, 90.0), (b, y, 90.0), (a, z, 80.0), (c, x, 80.0),
    ]  # fmt: skip


def test_gsm8k_holds_a_handful_of_its_own_test_problems_with_other_numbers(real_data):
    """5 training problems of 7473 were found near 4 test problems, all the same story by eye; none near SVAMP."""
    train = pl.concat([datasets.load("gsm8k", split, real_data / "gsm8k") for split in ("train", "development")])
    held_out = {name: datasets.load(name, "test", real_data / name) for name in ("gsm8k", "svamp")}
    assert exact_overlap(train, held_out).is_empty()
    found = near_overlap(train, held_out, 70)
    assert set(found["benchmark"]) == {"gsm8k"}
    assert 4 <= found["problem_id"].n_unique() <= 8
    assert 85 < found["similarity"].max() < 90
