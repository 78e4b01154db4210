"""The scripted teacher keeps what is right in a sample, in its own words, and its steps yield the answer."""

import re
import time
from dataclasses import replace

import pytest
from rapidfuzz.distance import Levenshtein

from tasks import parts
from tasks.equations import every_equation_holds
from tasks.errors import UserError
from tasks.teachers import Problem, best_rewrite, scripted

TOM = Problem(
    question="Tom has 12 apples. He buys 5 more and gives 8 to Anna. How many apples are left?",
    solution="Tom buys 5 more: 12 + 5 = 17.\nHe gives 8 to Anna: 17 - 8 = 9.\nThe answer is 9.",
    answer="9",
)
CLOUD = Problem(
    question="What type of water formation is formed by clouds?\nOptions:\npearls\nrain\nbeads",
    solution="Clouds are made of water vapor.\nBeads of water can be formed by clouds.\nThe answer is beads",
    answer="beads",
    options=["pearls", "rain", "beads"],
)


def words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text)


def edits(sample: str, rewrite: str) -> int:
    return Levenshtein.distance(words(sample), words(rewrite))


def stated_answer(text: str) -> str | None:
    found = re.findall(r"(?:^|\n| )(?:A:|The answer is) *(.*?)\.?\s*(?=\n|$)", text)
    return found[-1].replace(",", "") if found else None


def rewritten(sample: str, problem: Problem = TOM) -> str | None:
    def accept(text: str) -> bool:
        return stated_answer(text) == problem.answer and every_equation_holds(text)

    return best_rewrite(scripted.candidates(problem, sample), problem, sample, accept, edits)


def test_a_miscalculation_is_worked_out_again_and_carried_on() -> None:
    sample = "So Tom has 12 + 5 = 18 now.\nAnna gets 8, so 18 - 8 = 10 stay.\nThe answer is 10."
    assert rewritten(sample) == "So Tom has 12 + 5 = 17 now.\nAnna gets 8, so 17 - 8 = 9 stay.\nThe answer is 9."


def test_a_miscopied_number_is_put_right_in_the_words_too() -> None:
    sample = "Tom buys 6 more: 12 + 6 = 18.\nHe gives 8 to Anna: 18 - 8 = 10.\nThe answer is 10."
    assert rewritten(sample) == TOM.solution


def test_a_wrong_operation_in_the_right_words_changes_operator_and_result_only() -> None:
    sample = "First 5 more: 12 + 5 = 17.\nHe gives 8 to Anna: 17 + 8 = 25.\nThe answer is 25."
    assert rewritten(sample) == "First 5 more: 12 + 5 = 17.\nHe gives 8 to Anna: 17 - 8 = 9.\nThe answer is 9."


def test_a_step_whose_words_describe_another_operation_is_replaced_whole() -> None:
    sample = "First 5 more: 12 + 5 = 17.\nThen Anna brings 8 others: 17 + 8 = 25.\nThe answer is 25."
    assert rewritten(sample) == "First 5 more: 12 + 5 = 17.\nHe gives 8 to Anna: 17 - 8 = 9.\nThe answer is 9."


@pytest.mark.parametrize(
    "sample",
    [
        "Tom buys 5 more: 12 + 5 = 17.\nThe answer is 17.",
        "He gives 8 to Anna: 12 - 8 = 4.\nThe answer is 4.",
        "The answer is 17.",
    ],
)
def test_a_skipped_step_is_inserted(sample: str) -> None:
    assert rewritten(sample) == TOM.solution


def test_a_step_too_many_is_deleted() -> None:
    right, wrong = "Tom buys 5 more: 12 + 5 = 17.\nHe gives 8 to Anna: 17 - 8 = 9.\n", "In all 17 + 9 = 26.\n"
    sample = f"{right}{wrong}The answer is 26."
    assert rewritten(sample) == TOM.solution


def test_only_the_answer_line_changes_where_the_steps_are_right() -> None:
    sample = "12 + 5 = 17\nand 17 - 8 = 9\nA: 17"
    assert rewritten(sample) == "12 + 5 = 17\nand 17 - 8 = 9\nA: 9"


def test_true_equations_that_lead_elsewhere_are_not_kept_under_a_corrected_answer() -> None:
    sample = "Together they own 12 + 8 = 20.\nWith others that makes 20 + 5 = 25.\nThe answer is 25."
    assert rewritten(sample) == TOM.solution


def test_another_sound_way_to_the_answer_is_kept() -> None:
    sample = "He loses 8 - 5 = 3 in all.\nSo 12 - 3 = 10.\nThe answer is 10."  # 3 is no value of the reference
    assert rewritten(sample) == "He loses 8 - 5 = 3 in all.\nSo 12 - 3 = 9.\nThe answer is 9."


WATER = Problem(
    question="Two girls each got 1/6 of the 24 liters of water. Then a boy got 6 liters. How many liters were left?",
    solution="Each girl got 24 x 1/6 = 4 liters.\nBoth girls got 4 x 2 = 8 liters.\nAll three got 8 + 6 = 14 liters.\n"
    "So 24 - 14 = 10 liters were left.\nThe answer is 10.",
    answer="10",
)


def test_a_value_that_equals_the_answer_by_chance_is_not_taken_for_it() -> None:
    # 4 + 6 = 10 forgets that there are two girls; the answer is 24 - (2*4 + 6) = 10.
    sample = "The girls got 1/6 * 24 = 4 liters each.\nWith the boy's it is 4 + 6 = 10 liters.\nThe answer is 14."
    rewrite = rewritten(sample, WATER)
    assert rewrite is not None
    assert rewrite.startswith("The girls got 1/6 * 24 = 4 liters each.\n")
    assert "4 + 6 = 10" not in rewrite
    assert "4 x 2 = 8" in rewrite


def test_a_sound_step_that_skips_one_of_the_references_is_kept() -> None:
    kept = "Each girl got 24 / 6 = 4 liters.\nAll three got 2 * 4 + 6 = 14 liters.\n"  # not 4 * 2 = 8, 8 + 6 = 14
    rewrite = rewritten(f"{kept}Then 24 - 14 = 9 liters were left.\nThe answer is 9.", WATER)
    assert rewrite == f"{kept}Then 24 - 14 = 10 liters were left.\nThe answer is 10."


def test_a_sentence_between_the_equations_follows_the_numbers() -> None:
    sample = "Tom buys 5 more: 12 + 5 = 18.\nTom has 18 apples.\nHe gives 8: 18 - 8 = 10.\nThe answer is 10."
    expected = "Tom buys 5 more: 12 + 5 = 17.\nTom has 17 apples.\nHe gives 8: 17 - 8 = 9.\nThe answer is 9."
    assert rewritten(sample) == expected


def test_numbers_of_a_sum_stay_in_the_samples_order() -> None:
    assert rewritten("5 + 12 = 18 apples.\n18 - 8 = 10 apples.\nThe answer is 10.") == (
        "5 + 12 = 17 apples.\n17 - 8 = 9 apples.\nThe answer is 9."
    )


def test_steps_of_one_person_are_not_given_to_another() -> None:
    ages = Problem(
        question="Mary is 2 years younger than Joan. Joan is 5 years older than Jessa, who is 20. How old is Mary?",
        solution="Joan is 20 + 5 = 25 years old.\nMary is 25 - 2 = 23 years old.\nThe answer is 23.",
        answer="23",
    )
    sample = "Mary is 20 + 2 = 22 years old.\nJoan is 22 - 5 = 17 years old.\nThe answer is 17."
    assert rewritten(sample, ages) == ages.solution


def test_a_number_that_the_question_gives_does_not_change_in_the_words() -> None:
    rides = Problem(
        question="Each of 9 rides costs 2 tickets at $2. A bracelet for all of them costs $30. What does it save?",
        solution="A ride costs 2 x $2 = $4.\nAll rides cost $4 x 9 = $36.\nIt saves 36 - 30 = $6.\nThe answer is 6.",
        answer="6",
    )
    sample = "A bracelet costs $30 so all rides cost 9 * 30 = $270.\nIt saves 270 - 4 = $266.\nThe answer is 266."
    assert rewritten(sample, rides) == rides.solution  # not "A bracelet costs $4 so all rides cost 9 * 4 = $36."


def test_a_result_in_money_does_not_take_the_place_of_a_count() -> None:
    days = Problem(
        question="Ann works 5 days a week for 4 weeks and earns $10 a day. How many dollars does she earn?",
        solution="Ann works 5 * 4 = 20 days.\nShe earns 20 * 10 = $200.\nThe answer is 200.",
        answer="200",
    )
    rewrite = rewritten("Ann earns 5 * 10 = $50.\nThe answer is 50.", days)  # not "Ann earns 5 * 4 = $20."
    assert rewrite == "Ann works 5 * 4 = 20 days.\nAnn earns 20 * 10 = $200.\nThe answer is 200."


def test_an_equation_of_one_person_does_not_go_to_another_in_the_same_sentence() -> None:
    goals = Problem(
        question="Rick scored 20 more goals than Mark. Rick scored 80. How many goals did both score?",
        solution="If Rick scored 20 more than Mark, Mark scored 80 - 20 = 60 goals.\nBoth scored 60 + 80 = 140 goals.\n"
        "The answer is 140.",
        answer="140",
    )
    sample = "Rick scored 80 + 20 = 100 goals.\nBoth scored 100 + 80 = 180 goals.\nThe answer is 180."
    assert rewritten(sample, goals) == goals.solution


def test_a_number_whose_equal_becomes_another_is_not_guessed() -> None:
    eggs = Problem(
        question="A hen lays 9 eggs a day. Eva sells them all at $2 an egg. How many dollars does she get?",
        solution="Eva gets 9 * 2 = $18.\nThe answer is 18.",
        answer="18",
    )
    sample = "Eva sells 2 eggs at $2 an egg so she gets 2 * 2 = $4.\nThe answer is 4."  # which 2 is the 9?
    assert rewritten(sample, eggs) == eggs.solution


def test_an_algebraic_reference_comes_whole_and_the_samples_unknown_goes() -> None:
    ages = Problem(
        question="Sue is 6 times as old as Sam. In 9 years she will be 3 times as old. How old is Sam?",
        solution="Sam is y, so Sue is 6y.\nIn 9 years 6y + 9 = 3(y + 9).\nSo 3y = 18.\nSam is 18 / 3 = 6."
        "\nThe answer is 6.",
        answer="6",
    )
    assert rewritten("Let x be the age of Sam.\nSam is 9 * 6 = 54.\nThe answer is 54.", ages) == ages.solution


def test_a_result_loses_its_wrong_sign() -> None:
    sample = "First 5 more: 12 + 5 = 17.\nThen she has 8 - 17 = -9.\nThe answer is -9."
    assert rewritten(sample) == "First 5 more: 12 + 5 = 17.\nThen she has 17 - 8 = 9.\nThe answer is 9."


def test_a_reference_step_that_only_repeats_a_result_is_not_added() -> None:
    repeating = Problem(TOM.question, TOM.solution.replace("\nThe", "\nTom keeps 9 apples.\nThe"), TOM.answer)
    sample = "First 5 more: 12 + 5 = 17.\nHe keeps 17 - 8 = 10.\nThe answer is 10."
    assert rewritten(sample, repeating) == "First 5 more: 12 + 5 = 17.\nHe keeps 17 - 8 = 9.\nThe answer is 9."


def test_an_inserted_step_comes_before_the_kept_line_that_follows_it_in_the_reference() -> None:
    sample = "The boy and the girls got 8 + 6 = 14 liters.\nThe answer is 14."  # sound only after 4 x 2 = 8
    rewrite = rewritten(sample, WATER)
    assert rewrite is not None
    assert rewrite.index("4 x 2 = 8") < rewrite.index("8 + 6 = 14")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("A: 10", "A: 9"),
        ("A: $10", "A: $9"),
        ("#### 10", "#### 9"),
        ("The answer is 10", "The answer is 9"),
        ("So the answer is 10 apples.", "So the answer is 9 apples."),
        ("  The answer is: 10.", "  The answer is: 9."),
    ],
)
def test_the_answer_line_keeps_its_form(line: str, expected: str) -> None:
    sample = f"12 + 5 = 18\n18 - 8 = 10\n{line}"
    assert f"12 + 5 = 17\n17 - 8 = 9\n{expected}" in scripted.candidates(TOM, sample)


def test_an_answer_in_the_last_sentence_of_a_line_is_found() -> None:
    sample = "He has 12 + 5 = 17. He keeps 17 - 8 = 10. The answer is 10."
    assert rewritten(sample) == "He has 12 + 5 = 17. He keeps 17 - 8 = 9. The answer is 9."


def test_blank_lines_indents_and_trailing_spaces_stay() -> None:
    sample = "  Tom buys 5 more: 12 + 5 = 18.\n\n He gives 8: 18 - 8 = 10.\nThe answer is 10. \n"
    expected = "  Tom buys 5 more: 12 + 5 = 17.\n\n He gives 8: 17 - 8 = 9.\nThe answer is 9. \n"
    assert rewritten(sample) == expected


@pytest.mark.parametrize(
    "sample",
    [
        "",
        "asdf qwe\nzxc 5 5 5",
        "Tom buys 5 more: 12 + 5 = 17.\n" * 30,
        "Tom buys 5 more: 12 + 5 = 17.\nHe gives 8 to",
        "Tom buys 5 more: 12 + 5 = 17.\nHe gives 8 to Anna: 17 -",
        "Tom buys 5 more: 12 + 5 = 17.\nHe gives 8 to Anna: 17 - 8 = 9.\nThe ans",
        "Tom buys 5 more: 12 + 5 = 17.\nHe gives 8 to Anna: 17 - 8 = 9.\nThe answer is",
        "The answer is The answer is 12 12 12",
        "= = = 12 + + 5 ) ( 7\nThe answer is 9 / 0.",
    ],
    ids=[
        "empty",
        "gibberish",
        "repeated",
        "cut words",
        "cut equation",
        "cut answer",
        "no answer",
        "stutter",
        "noise",
    ],
)
def test_from_what_cannot_be_kept_the_reference_is_reached(sample: str) -> None:
    rewrite = rewritten(sample)
    assert rewrite is not None
    assert rewrite.rstrip(". \n") == TOM.solution.rstrip(".")


def test_a_sample_of_a_megabyte_takes_seconds_at_most() -> None:
    for sample in ("1+1=" * 250_000, "12 + 5 = 18.\n" * 80_000, "word " * 200_000, "(" * 1_000_000):
        started = time.thread_time()
        assert rewritten(sample) is not None
        assert time.thread_time() - started < 10


def test_a_rationale_that_names_the_wrong_choice_names_the_right_one() -> None:
    sample = "Clouds hold water.\nRain of water can be formed by clouds.\nThe answer is rain"
    expected = "Clouds hold water.\nBeads of water can be formed by clouds.\nThe answer is beads"
    assert rewritten(sample, CLOUD) == expected


def test_a_false_claim_about_the_wrong_choice_goes_and_the_references_last_step_comes() -> None:
    sample = "Clouds hold water.\nRain falls on roofs in autumn.\nThe answer is rain"
    expected = "Clouds hold water.\nBeads of water can be formed by clouds.\nThe answer is beads"
    assert rewritten(sample, CLOUD) == expected


def test_only_the_answer_line_changes_where_the_rationale_is_right() -> None:
    sample = "Water in clouds gathers in beads.\nThe answer is pearls"
    assert rewritten(sample, CLOUD) == "Water in clouds gathers in beads.\nThe answer is beads"


def test_a_sample_without_an_answer_line_loses_what_argues_for_another_choice() -> None:
    cloud = replace(CLOUD, question="What is formed by clouds?")  # the datasets' questions do not list the choices
    sample = "Rain can be formed by clouds.\nRain is wat"
    assert rewritten(sample, cloud) == "Beads can be formed by clouds.\nThe answer is beads"


def test_lines_about_something_else_and_against_the_right_choice_go() -> None:
    sample = "A suitcase holds shirts.\nClouds hold water, not beads.\nThe answer is rain"
    assert rewritten(sample, CLOUD) == "Beads of water can be formed by clouds.\nThe answer is beads"


def test_a_name_keeps_its_capitals_inside_a_sentence() -> None:
    town = Problem(
        question="What town is known for disco?",
        solution="The town Rio de Janeiro is known for disco.\nThe answer is rio de janeiro",
        answer="rio de janeiro",
        options=["rio de janeiro", "new york"],
    )
    sample = "The big town New York is known for disco.\nThe answer is new york"
    expected = "The big town Rio de Janeiro is known for disco.\nThe answer is rio de janeiro"
    assert rewritten(sample, town) == expected


def test_a_choice_named_in_another_form_leads_to_the_answer() -> None:
    rope = Problem(
        question="What do children do outside?",
        solution="Jumping rope is done outside.\nIt makes them fit.\nThe answer is jump rope",
        answer="jump rope",
        options=["jump rope", "read"],
    )
    assert rewritten("The answer is read", rope) == "Jumping rope is done outside.\nThe answer is jump rope"


@pytest.mark.parametrize(
    ("line", "expected"),
    [("The answer is (B).", "The answer is (C)."), ("The answer is B) rain", "The answer is C) beads")],
)
def test_a_choice_named_by_its_letter_stays_a_letter(line: str, expected: str) -> None:
    found = scripted.candidates(CLOUD, f"Beads of water can be formed by clouds.\n{line}")
    assert f"Beads of water can be formed by clouds.\n{expected}" in found


def test_teachers_are_found_by_name_and_the_nearest_is_named_for_a_wrong_one() -> None:
    assert "scripted" in parts.names("tasks.teachers")
    assert all(not name.startswith("_") for name in parts.names("tasks.teachers"))
    assert parts.get("tasks.teachers", "scripted", "teacher") is scripted
    with pytest.raises(UserError, match="did you mean 'scripted'"):
        parts.get("tasks.teachers", "scriptd", "teacher")


def test_the_nearest_accepted_candidate_is_taken_and_none_if_even_the_reference_fails() -> None:
    def distance(sample: str, text: str) -> int:
        return abs(len(sample) - len(text))

    assert best_rewrite(["aaaa", "bb", "ccc"], TOM, "x", lambda text: text != "bb", distance) == "ccc"
    assert best_rewrite(["aaaa"], TOM, "x", lambda text: text == TOM.solution, distance) == TOM.solution
    assert best_rewrite(["aaaa"], TOM, "x", lambda _: False, distance) is None
