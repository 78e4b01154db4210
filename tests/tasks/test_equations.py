"""Equations are found in the forms that real solutions use, and checked exactly, in linear time."""

import json
import os
import re
import time
from fractions import Fraction
from pathlib import Path

import pytest

from tasks.equations import equations, every_equation_holds, numbers


def stated(text: str) -> list[tuple[str, str, bool]]:
    return [(equation.left, equation.stated, equation.holds) for equation in equations(text)]


@pytest.mark.parametrize(
    "text",
    [
        "Tom has 12 + 5 = 17 apples.",
        "16 - 3 - 4 = 9",
        "She makes 9 * 2 = $18 every day",
        "48/2=24",
        "0.2 x 50 = 10",
        "9 × 3 ÷ 2 = 13.5",
        "(3+4)*2 = 14",
        "2(3+4) = 14",
        "[(3+4)*2]/7 = 2",
        "$1,000 * 5% = $50",
        "10/40*100 = 25%",
        "20% of 50 = 10",
        "1/2*10 = 5",
        "1/3=.33",  # .3333 rounded to two decimals
        "8 x 1 1/2 = 12",  # 8 × 3/2
        "½ * 30 = 15",
        "2^3 = 8",
        "5 - 8 = -3",
        "5 * -2 = -$10",
        "3 apples * 2 = 6 apples",
        "2 trips/day * 5 days/week = 10 trips/week",
        "5 hours x $4/hour = $20",
        "He ran 4 times 200 equals 800 meters",
        "24 = 4 * 6",
        "(so 5 + 3 = 8)",
    ],
)
def test_one_true_equation_is_found(text: str) -> None:
    assert [equation.holds for equation in equations(text)] == [True]


@pytest.mark.parametrize(
    "text",
    [
        "12 + 5 = 18",
        "10 / 4 = 2",  # 2.5: a whole number is not taken as rounded
        "2/3 = .66",  # .6667 rounds to .67
        "16 - 3 - 4 = 17",  # left to right: 9, not 16 - (3 - 4)
        "2 + 3 * 4 = 20",  # precedence: 14
        "5 * 2 = -10",
        "7 / 0 = 0",
        "7 / (3 - 3) = 7",
        "9^9999999 = 1",
        "1" * 400 + " + 1 = " + "1" * 399 + "2",  # true, but beyond the digits that are read
    ],
)
def test_one_false_equation_is_found(text: str) -> None:
    assert [equation.holds for equation in equations(text)] == [False]
    assert not every_equation_holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "There is none here.",
        "",
        "1 hour = 60 minutes",
        "2x + 5 = 9",
        "x + x - 25 = 35",
        "5A - 5 = 30",
        "10 + 5 = 3 + x",
        "The bus left at 7:50 + 30 minutes = 8:20",
        "Total cost = price + tax",
        "12 + = 17",
        "= 3 + 4",
        "(12 + 5 = ) ) 17 (",
    ],
)
def test_what_states_no_arithmetic_is_no_equation(text: str) -> None:
    assert equations(text) == []
    assert every_equation_holds(text)


def test_a_chain_is_checked_link_by_link() -> None:
    assert stated("2*3=6*4=24") == [("2*3", "6*4", False), ("6*4", "24", True)]  # 6 is not 24
    assert stated("3*4 = 12 = 24/2") == [("3*4", "12", True), ("12", "24/2", True)]


def test_equations_of_one_line_are_found_apart() -> None:
    assert stated("She has 5 - 3 = 2 left, then 4 + 4 = 9.") == [("5 - 3", "2", True), ("4 + 4", "9", False)]


def test_an_equation_does_not_reach_into_the_next_line() -> None:
    assert stated("4 + 4 =\n8") == []
    assert stated("He has 3\n+ 5 = 8") == []


def test_places_and_values_are_those_of_the_text() -> None:
    text = "So he pays 2 * $1,250 = $2,500 now"
    [found] = equations(text)
    assert text[found.start : found.end] == "2 * $1,250 = $2,500"
    assert text[found.stated_start :].startswith("$2,500")
    assert [text[n.start : n.end] for n in found.numbers] == ["2", "1,250"]
    assert (found.value, found.stated_value, found.structure) == (Fraction(2500), Fraction(2500), "N*N")


def test_numbers_are_read_with_separators_fractions_and_percent_signs() -> None:
    found = numbers("In 7:05 he sold 1,200 of 3.5 kg, 2 1/2 boxes, ½ of 25%")
    assert [n.value for n in found] == [7, 5, 1200, Fraction(7, 2), Fraction(5, 2), Fraction(1, 2), 25]
    assert [n.is_percent for n in found] == [False] * 6 + [True]


@pytest.mark.parametrize(
    "text",
    [
        "1+" * 100_000,
        "1+" * 100_000 + "5A = 3",
        "1+1=" * 50_000,
        "(" * 200_000,
        "(" * 50_000 + "1" + ")" * 50_000 + " = 1",
        ("(" * 20 + "x" + ")" * 20) * 4_000,
        "9" * 200_000 + " + 1 = 1",
        "(" * 25 + "9" + "^32)" * 25 + " = 1",
        "9*" * 78 + "9^32 = 1",
        "1,111" * 40_000,
        "- " * 100_000,
        "a b c " * 30_000,
    ],
    ids=lambda text: text[:8],
)
def test_hostile_text_of_200_kilobytes_takes_seconds_at_most(text: str) -> None:
    started = time.thread_time()
    equations(text)
    assert time.thread_time() - started < 10


def test_deep_brackets_within_the_bound_are_read_and_beyond_it_are_not() -> None:
    assert every_equation_holds("(" * 30 + "4" + ")" * 30 + " + 1 = 5")
    assert stated("(" * 30 + "4" + ")" * 30 + " + 1 = 5") != []
    assert stated("(" * 31 + "4" + ")" * 31 + " * 1 = 5") == []


@pytest.mark.skipif("RLMEC_DATA" not in os.environ, reason="RLMEC_DATA does not name a folder with GSM8K")
def test_more_than_97_percent_of_gold_gsm8k_equations_are_found_and_more_than_99_percent_hold() -> None:
    path = Path(os.environ["RLMEC_DATA"], "gsm8k", "train.jsonl")
    if not path.exists():
        pytest.skip(f"{path} is not there")
    marked = found = holding = covered = 0
    for line in path.read_text(encoding="utf-8").splitlines():
        answer = json.loads(line)["answer"]
        places, removed = [], 0  # where each published mark <<a=b>> stood, in the text without marks
        for mark in re.finditer("<<.*?>>", answer):
            places.append(mark.start() - removed)
            removed += len(mark[0])
        found_here = equations(re.sub("<<.*?>>", "", answer))
        marked += len(places)
        covered += sum(any(e.start <= place <= e.end for e in found_here) for place in places)
        found += len(found_here)
        holding += sum(e.holds for e in found_here)
    assert covered / marked > 0.97
    assert holding / found > 0.99
