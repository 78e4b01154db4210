"""The verifier: what states an answer, and which answers are equal."""

import itertools
import json
import os
import re
from fractions import Fraction
from pathlib import Path

import pytest

from tasks.answers import extract_answer, is_right, readable_math
from tasks.plain_number import decimal_text

OPTIONS = ["sand", "rain", "a tree", "Snow, ice, and rock.", "h2o"]


def real_data(name: str) -> Path:
    folder = os.environ.get("RLMEC_DATA")
    if not folder or not (Path(folder) / name).exists():
        pytest.skip(f"RLMEC_DATA names no folder with {name}")
    return Path(folder) / name


def lines_of(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is 72.", "72"),
        ("The answer is: 72", "72"),
        ("12 + 5 = 17.\nThe answer is 17.", "17"),
        ("**Answer:** 72", "72"),
        ("The answer is **72**.", "72"),
        ("The answer is:\n\n72", "72"),
        ("Therefore, the final answer to the question is 5.", "5"),
        ("So she makes\nA: 18", "18"),
        ("#### 1,800", "1800"),
        (r"Thus $x = \boxed{72}$.", "72"),
        (r"\boxed{90\text{ square units}}", "90"),
        (r"\boxed{\frac{\sqrt{3}}{2}}", r"\frac{\sqrt{3}}{2}"),
        ("The answer is 5 kilometers", "5"),
        ("The answer is approximately 3.140 m^2.", "3.14"),
        ("The answer is $18 per day.", "18"),
        ("The answer is -$5.50", "-5.5"),
        ("The answer is 12 + 5 = 17.", "17"),
        ("The answer is 18 because 6*3=18", "18"),
        ("The answer is 1.8 billion", "1800000000"),
        ("The answer is 50%.", "50%"),
        ("The answer is 1 1/2 cups", "3/2"),
        (r"The answer is \(\dfrac{3}{4}\).", "3/4"),
        ("The answer is (4, 5).", "(4, 5)"),
        # A completion that is nothing but an answer, or ends in a line wholly in bold, states it too.
        ("5 kilometers", "5"),
        ("approximately 3.14", "3.14"),
        ("**72**", "72"),
        ("12 + 5 = 17\n**17**", "17"),
    ],
)
def test_a_stated_answer_is_understood(text, answer):
    assert extract_answer(text, "math") == answer


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12 + 5 = 17.",
        "So Tom has 17 apples.",
        "17 apples were bought by Tom yesterday",
        "The answer is .",
        "Our answer is correct.",
        r"\boxed{17",
        "the 7340 2 2 2 2 A",
    ],
)
def test_a_completion_that_states_no_answer_gives_none(text):
    assert extract_answer(text, "math") is None
    assert not is_right(text, "17", "math")


def test_the_last_stated_answer_counts():
    assert extract_answer("The answer is 5. No: the answer is 6.\nA: 7", "math") == "7"
    assert extract_answer(r"\boxed{3} and so the answer is 4.", "math") == "4"
    assert extract_answer("The answer is 5.\nThe answer is .", "math") == "5"  # an empty one states nothing
    assert extract_answer("The answer is sand.\nThe answer is rain.", "choice", OPTIONS) == "rain"


@pytest.mark.parametrize(
    ("found", "gold", "right"),
    [
        ("0", "0.0001", False),
        (r"\frac{-31}{2}", r"\frac{3-1}{2}", False),  # -15.5 and 1
        (r"\frac{3-1}{2}", "1", True),
        ("3.14", "3.14159", False),
        ("0.333", "1/3", False),
        ("0.5", "1/2", True),
        ("18.00", "18", True),
        ("1,000", "1000", True),
        ("1000", "1,000", True),
        ("-7", "7", False),
        ("50%", "50", True),
        ("50%", "0.5", True),
        ("0.5%", "50", False),
        ("2 million", "2", False),
        ("5 or 6", "5", False),
        ("5x", "5", False),
        ("17 17", "17", False),
        ("17 +", "17", False),
        ("17/", "17", False),
        ("five", "5", False),
        (r"\sqrt{18}", r"3\sqrt{2}", True),
        ("1.414214", r"\sqrt{2}", False),
        ("20 - 2x", "-2x+20", True),
        ("(5,4)", "(4,5)", False),
        (r"\left(4, 5\right)", "(4,5)", True),
        ("2,1", r"\{1,2\}", True),
        ("1<x<2", "(1,2)", True),  # math-verify alone finds this one way round only
        ("(1,2)", "1<x<2", True),
        ("even", r"\text{even}", True),
        ("odd", r"\text{even}", False),
    ],
)
def test_numbers_are_compared_exactly_and_formulas_by_meaning(found, gold, right):
    assert is_right(f"The answer is {found}", gold, "math") is right


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("The answer is rain", "rain"),
        ("The answer is Rain.", "rain"),
        ("The answer is A  TREE.", "a tree"),
        ("The answer is snow, ice, and rock", "Snow, ice, and rock."),
        ("The answer is snow ice and rock", "Snow, ice, and rock."),
        ("The answer is (B)", "rain"),
        ("The answer is B.", "rain"),
        ("The answer is B. rain", "rain"),
        ("The answer is option C, as it grows.", "a tree"),
        (r"The answer is \boxed{\text{B}}", "rain"),
        ("The answer is rain. It falls.", "rain"),
        ("The answer is rain because it falls.", "rain"),
        ("A: rain", "rain"),
        ("B", "rain"),
        ("(b)", "rain"),
        ("rain", "rain"),
        ("The answer is raindrops", None),
        ("The answer is a", None),
        ("The answer is sand or rain", None),
        ("The answer is I think rain", None),
        ("The answer is (B) sand", None),  # letter and text disagree
        ("The answer is (F)", None),
        ("It rains.", None),
        ("", None),
    ],
)
def test_a_choice_is_named_by_its_text_or_letter(text, option):
    assert extract_answer(text, "choice", OPTIONS) == option


def test_exact_option_text_comes_before_folding_and_letters():
    assert extract_answer("The answer is Co", "choice", ["CO", "Co"]) == "Co"
    assert extract_answer("The answer is co", "choice", ["CO", "Co"]) is None  # could be either
    assert extract_answer("The answer is B", "choice", ["B", "A"]) == "B"  # the text, not the second option
    assert extract_answer("The answer is -5", "choice", ["5", "-5"]) == "-5"
    assert extract_answer("The answer is 1,000", "choice", ["100", "1000"]) == "1000"


def test_signs_of_mathematics_and_logic_tell_options_apart():
    formulas = ["~(F ⊃ E) ∨ (S ⊃ C)", "(F ⊃ E) ∨ (S ⊃ C)", "5.5", "−7", "7"]
    assert [extract_answer(f"The answer is {option}.", "choice", formulas) for option in formulas] == formulas
    assert extract_answer("The answer is (~F ⊃ E) ∨ (S ⊃ C)", "choice", formulas) is None
    assert extract_answer("The answer is 5, 5", "choice", formulas) is None
    assert extract_answer("The answer is -7", "choice", formulas) == "−7"  # one kind of minus is as good as another


def test_a_number_names_an_option_unless_their_units_differ():
    options = ["6 stickers", "$5", "30", "1000"]
    assert extract_answer("The answer is 6.", "choice", options) == "6 stickers"
    assert extract_answer("The answer is 5", "choice", options) == "$5"
    assert extract_answer("The answer is 30 apples", "choice", options) == "30"
    assert extract_answer("The answer is 6 gallons", "choice", options) is None
    assert extract_answer("The answer is 30 in. by 57 in.", "choice", options) is None


def test_an_option_stands_in_any_typesetting():
    options = ["2*sqrt(2)", r"\frac{1}{2}", "h_{2}o", "energy.", "energy"]
    for option in options[:3]:
        for text in (f"So.\n**{option}**", rf"\boxed{{\text{{{option}}}}}", f"The answer is **{option}**."):
            assert extract_answer(text, "choice", options) == option
    assert extract_answer("The answer is E. energy", "choice", options) == "energy"  # D differs in a full stop alone


@pytest.mark.parametrize(
    ("text", "gold", "right"),
    [
        (r"\boxed{(-\infty,-8)\cup (8,\infty)}", r"(-\infty,-8)\cup (8,\infty)", True),
        ("The answer is 7(x+3) (x-3).", "7(x+3)(x-3)", True),
        ("The answer is 7(x+3) (by factoring).", "7(x+3)", True),
        (r"The answer is 11,\! 111,\! 100", "11111100", True),
        ("\\boxed{90\\text{ square\nunits}}", "90", True),
        # Words behind a box, or a check of it, state no other answer; a number or formula does.
        (r"\boxed{\frac{130}{231}}. The final answer is positive, because -1*-1=1.", r"\frac{130}{231}", True),
        (r"\boxed{44}. We may check our answer: $17 \cdot 44 = 748$, so it is correct.", "44", True),
        (r"\boxed{(3, 2)} (Either point is a correct answer to this problem.)", "(3,2)", True),
        (r"\boxed{3}. No, the answer is 4.", "3", False),
        # The equation of a curve is not the number on its right side; a value that is said to be one is.
        ("The answer is x^2 + y^2 = 13.", "13", False),
        ("The answer is y^2 + x^2 = 13.", "x^2+y^2=13", True),
        ("The answer is 10x - 4y = 0", "0", False),
        ("The answer is x + y = 13.", "13", True),
        ("The answer is 10m + n = 53.", "53", True),
        # A base is part of a numeral.
        ("The answer is 52_8.", "52_{8}", True),
        ("The answer is 52_8.", "52", False),
        ("The answer is 52.", "52_8", False),
    ],
)
def test_answers_of_competition_problems(text, gold, right):
    assert is_right(text, gold, "math") is right


def test_prediction_and_answer_are_folded_alike():
    assert is_right("The answer is humidity", "Humidity", "choice", ["ecology", "humidity"])
    assert is_right("The answer is Humidity.", "humidity", "choice", ["ecology", "humidity"])
    assert is_right("The answer is (B)", "Humidity", "choice", ["ecology", "humidity"])
    assert is_right("The answer is energy.", "energy", "choice", ["energy", "energy.", "food"])
    assert not is_right("The answer is ecology", "Humidity", "choice", ["ecology", "humidity"])


def test_an_answer_that_cannot_be_checked_is_told_from_one_that_can():
    assert [readable_math(text) for text in ("1,000", "$5", r"\frac{1}{2}", "x")] == ["1000", "5", "1/2", "x"]
    assert [readable_math(text) for text in ("", "abc", "???", "not a number")] == [None] * 4


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_gold_solutions_of_gsm8k_are_all_right(split):
    for row in lines_of(real_data(f"gsm8k/{split}.jsonl")):
        assert is_right(row["answer"], row["answer"].rpartition("####")[2].strip(), "math"), row["answer"]


def gpt3_solutions() -> list[tuple[str, str, bool]]:
    """Every GPT-3 solution with its problem's gold answer and its publishers' verdict."""
    rows = lines_of(real_data("gsm8k_model_solutions/part1.jsonl"))
    solvers = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
    return [
        (row[solver]["solution"], row["ground_truth"].rpartition("A:")[2].strip(), row[solver]["is_correct"])
        for row in rows
        for solver in solvers
    ]


def test_gpt3_solutions_are_judged_as_their_publishers_judged_them():
    verdicts = [is_right(text, gold, "math") == verdict for text, gold, verdict in gpt3_solutions()]
    assert (sum(verdicts), len(verdicts)) == (2640, 2640)


REWRITES = {
    "units": ["{n} apples", "{n} km/h", r"{n}\text{{ square feet}}", "{n} hours a day", "{n} m^2", "{n}°", "about {n}"],
    "thousands separators": ["{comma}", "{latex_comma}", "{thin_space}", "{comma} people per week"],
    "currency": ["{sign}${size}", r"{sign}\${size}", "{sign}€{size}", "${n} each", "{n} USD", "US${n}", "{n} dollars"],
    "trailing zeros": ["{zeros}", "{zeros} kg", "${zeros}", "{sign}0{size}"],
    "fractions": ["{sign}{top}/{bottom}", "{sign}{top} / {bottom} cups", "{sign}{whole} {rest}/{bottom}"],
    "LaTeX": [r"\boxed{{{n}}}", "$x = {n}$", r"\({n}\)", r"{sign}\dfrac{{{top}}}{{{bottom}}}", r"\text{{{n}}}"],
}  # fmt: skip


def written(value: Fraction, form: str) -> str:
    """A number in a form of REWRITES: -1800.5 as -1,800.5, -$1800.5, -3601/2, ..."""
    sign, size = "-" * (value < 0), decimal_text(abs(value))
    comma = f"{sign}{int(abs(value)):,}{size[len(str(int(abs(value)))) :]}"
    top, bottom = 3 * abs(value.numerator), 3 * value.denominator
    return form.format(
        **{"n": sign + size, "sign": sign, "size": size, "zeros": f"{sign}{size}" + ("0" if "." in size else ".00")},
        **{"comma": comma, "latex_comma": comma.replace(",", "{,}"), "thin_space": comma.replace(",", r"\,")},
        **{"top": top, "bottom": bottom, "whole": top // bottom, "rest": top % bottom},
    )


@pytest.mark.parametrize("kind", REWRITES)
def test_gpt3_solutions_are_judged_the_same_when_their_answers_are_written_otherwise(kind):
    count = 0
    for text, gold, verdict in gpt3_solutions():
        stated = re.search(r"^A: (-?[\d,]*\d(?:\.\d+)?)$", text, re.MULTILINE)
        for form, lead in itertools.product(
            REWRITES[kind] if stated else [], ("A: {}", "The answer is {}.", "#### {}")
        ):
            answer = written(Fraction(stated[1].replace(",", "")), form)
            rewritten = text[: stated.start()] + lead.format(answer) + text[stated.end() :]
            assert is_right(rewritten, gold, "math") is verdict, (answer, lead, gold, verdict)
            count += 1
    assert count >= 2632 * 3 * 3  # 8 of the 2640 state no plain number; at least 3 forms, 3 leads


@pytest.mark.parametrize("dataset", ["ecqa", "qasc", "openbookqa", "arc_easy"])
def test_every_option_of_the_choice_datasets_is_named_by_its_text_and_by_its_letter(dataset):
    for row in lines_of(real_data(f"{dataset}/test.jsonl")):
        options = row["problem"].partition("\nOptions:\n")[2].split("\n")
        for letter, option in zip("ABCDEFGH", options, strict=False):
            for named in (option, option.upper(), f"({letter})", f"{letter}. {option}", f"{option} because it is"):
                assert is_right(f"The answer is {named}", option, "choice", options), (named, options)
