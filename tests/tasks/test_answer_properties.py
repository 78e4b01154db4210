r"""The verifier on strings that nobody thought of: it raises on none, takes long over none, and holds its laws.

More than ten thousand strings a run; math-verify, which works in a process of its own, is asked about a few hundred
of them only (`test_no_formula_raises_math_verify`), and stands aside in the other tests.
"""

import time
from contextlib import nullcontext
from datetime import timedelta
from fractions import Fraction
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.answers import extract_answer, is_right, readable_math, same_math
from tasks.plain_number import decimal_text, plain_number

OPTIONS = ["sand", "rain", "a tree", "Snow, ice, and rock.", "h2o", "5", "-5"]
LEADS = ["", "The answer is ", "A: ", r"\boxed{", "#### ", "**", "Answer\n"]
PIECES = [
    *"0123456789-+=<>%$€()[]{},:. \n^_*!#xya\\°½√π∞²×−∪≤≠'\"",
    *("3.5", "1,000", "1/2", "1 000", "am", "p.m.", "km", "cm^2", "apples", "dollars a day", "million", "and", "or"),
    *("\\frac", "\\dfrac{1}{2}", "\\sqrt", "\\pi", "\\text{", "\\boxed{", "\\left(", "\\right)", "\\le ", "\\circ"),
    *("\u200e", "\u202e", "\ud800", "The answer is ", "A: ", "####", "**", "option B", "rain", "x = ", "(1, 2)", "0:0"),
]  # fmt: skip

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)  # lone surrogates too
MIXTURE = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
LIMIT = timedelta(seconds=5)  # for one example, on a busy machine


def without_math_verify():
    return patch("tasks.formulas.equivalent", lambda gold, found: gold == found)


@settings(max_examples=4000, deadline=LIMIT)
@given(ANY_TEXT | MIXTURE, st.sampled_from(LEADS))
@example(r"\text{}", "")  # neither a number nor a formula, once read as an empty answer
def test_no_text_raises_and_a_choice_is_always_one_of_the_options(text, lead):
    assert extract_answer(lead + text, "choice", OPTIONS) in {None, *OPTIONS}
    found = extract_answer(lead + text, "math")
    assert found is None or found
    with without_math_verify():
        assert is_right(lead + text, text, "choice", OPTIONS) in (True, False)
        assert is_right(lead + text, text, "math") in (True, False)
    assert readable_math(text) in (None, readable_math(readable_math(text) or ""))


@settings(max_examples=4000, deadline=LIMIT)
@given(ANY_TEXT | MIXTURE)
def test_every_answer_equals_itself_as_found_and_as_stated(text):
    with without_math_verify():
        assert same_math(text, text)
        found = extract_answer(f"The answer is {text}", "math")
        assert found is None or is_right(f"The answer is {text}", found, "math")


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=r"0123456789\frac{}()[]^_+-*/=<>.,xy$ ", max_size=12))
def test_no_formula_raises_math_verify(text):
    found = extract_answer(f"The answer is {text}", "math")
    assert found is None or is_right(f"The answer is {text}", found, "math")
    assert is_right(f"The answer is {text}", r"\sqrt{7}", "math") is False


WRITTEN = st.builds(
    lambda sign, currency, digits, point, unit: f"{sign}{currency}{digits}{point}{unit}",
    st.sampled_from(["", "-", "+", "negative ", "about "]),
    st.sampled_from(["", "$", "€"]),
    st.sampled_from(["0", "5", "50", "05", "500", "5,000", "1/2", r"\frac{1}{2}", "3 1/2", "½", r"0.\overline{3}"]),
    st.sampled_from(["", ".0", ".50", "e2", r" \times 10^{-2}"]),
    st.sampled_from(["", "%", " am", " pm", " km", " dollars a day", " million", "x", " or 6"]),
)  # fmt: skip


@settings(max_examples=2000, deadline=LIMIT)
@given(WRITTEN, WRITTEN)
def test_plain_numbers_are_compared_alike_both_ways_round(one, other):
    first, second = plain_number(one), plain_number(other)
    with without_math_verify() if first is None or second is None else nullcontext():
        assert same_math(one, one)
        if first and second:
            assert same_math(one, other) == same_math(other, one) == first.equals(second) == second.equals(first)


@settings(max_examples=300, deadline=LIMIT)
@given(st.integers(-(10**12), 10**12), st.integers(0, 6), st.sampled_from(["", " apples", " dollars a day"]))
def test_a_stated_number_is_read_exactly_however_it_is_written(digits, places, unit):
    value = Fraction(digits, 10**places)
    text = decimal_text(value)
    sign, whole, point, part = ("-" if value < 0 else ""), *text.lstrip("-").partition(".")
    forms = [
        text,
        f"{sign}{int(whole):,}{point}{part}",
        f"{text}{'' if point else '.'}00",
        f"{sign}${whole}{point}{part}",
    ]
    for form in forms:
        assert plain_number(form + unit).value == value
        assert extract_answer(f"The answer is {form}{unit}.", "math") == text
        assert is_right(f"The answer is {form}{unit}.", text, "math")
        assert not is_right(f"The answer is {form}{unit}.", decimal_text(value + Fraction(1, 10**9)), "math")


NASTY = {
    "a megabyte of digits": "7" * 1_000_000,
    "a megabyte of words": "apples " * 150_000,
    "a megabyte on one line of statements": "the answer is 5 " * 65_000,
    "LaTeX that never ends": r"\frac{1}{" * 100_000,
    "roots that never end": r"\sqrt{" * 100_000,
    "boxes that never end": r"\boxed{" * 100_000,
    "text that never ends": r"\text{" * 100_000,
    "braces 100,000 deep": "{" * 100_000 + "5" + "}" * 100_000,
    "brackets 100,000 deep": "(" * 100_000 + "5" + ")" * 100_000,
    "boxes 100,000 deep": r"\boxed{" * 100_000 + "5" + "}" * 100_000,
    "stars": "**" * 300_000,
    "bold that never ends": "**a *b" * 50_000,
    "unknowns": "x" * 5000,
    "a sum of unknowns": "2" + "-x" * 5000,
    "signs": "-" * 300_000,
    "superscripts": "²" * 300_000,
    "spaces": "answer" + " " * 500_000,
    "line breaks": "The answer is" + "\n" * 500_000,
    "dollars": "$" * 500_000,
    "commas": "1," * 300_000,
    "lone surrogates": "\ud800\udfff" * 1000,
    "a lone surrogate in a formula": "\\sqrt{\ud800}",
    "bidirectional marks": "\u202e27\u202c\u2066\u200f" * 1000,
    "null characters": "\0" * 1000,
    "not a number": "NaN",
    "infinity": "-Infinity",
    "infinity as a power": "1e999999999",
    "a power of ten": "1e999",
    "a tower of powers": "9^{9^{9^{9}}}",
    "another tower of powers": "9^9^9^9",
    "a long power": "2^{99999999}",
    "a long factorial": "(9999)!",
    "combining characters": "5" + "\u0301" * 10_000,
}


@pytest.fixture(scope="module")
def math_verify_has_started():
    """Its import must not fall into a time that is measured."""
    assert is_right(r"\boxed{\sqrt{50}}", r"5\sqrt{2}", "math")


@pytest.mark.parametrize("lead", ["", "The answer is ", r"\boxed{"])
@pytest.mark.parametrize("name", NASTY)
def test_bad_input_takes_bounded_time_and_raises_nothing(name, lead, math_verify_has_started):
    text = NASTY[name]
    started = time.monotonic()
    assert not is_right(lead + text, r"\sqrt{17}", "math")
    assert not is_right(lead + text + "}", r"\sqrt{17}", "math")
    assert not is_right("The answer is 17", text, "math")
    assert not is_right(lead + text, "rain", "choice", OPTIONS)
    assert not is_right("The answer is rain", text, "choice", [*OPTIONS, text])
    assert time.monotonic() - started < 5


def test_not_a_number_is_not_even_a_number():
    for text in ("nan", "NaN", "inf", "-inf", "Infinity", "1e9999", "1e999999999"):
        assert plain_number(text) is None, text
        assert not same_math("0", text), text
        assert not same_math(str(10**300), text), text


def test_marks_without_width_do_not_count_and_marks_that_turn_digits_round_are_not_read():
    assert is_right("The answer is \u200e72\u200b.", "72", "math")
    assert not is_right("The answer is \u202e27\u202c.", "72", "math")  # shown as 72, but not a plain number
    assert not is_right("The answer is \u202e27\u202c.", "27", "math")
