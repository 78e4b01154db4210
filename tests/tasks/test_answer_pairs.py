"""The verifier against a table of answers that a careful reader judged, each with the reason.

Columns of answer_pairs.tsv: kind; form, `stated` (an answer, tried in every way to state one) or `whole` (a
completion, ⏎ for a line break); what it says; the gold answer; the reader's verdict; the options of a choice; the
reason. A row says "debatable" where another reader could judge otherwise, and what is held here:

    math    stated    50%    0.5    right        debatable: 50% equals both 50 and 0.5
"""

import itertools
from pathlib import Path

import pytest

from tasks.answers import is_right

LEADS = ["The answer is {}", "A: {}", "So it is.\n#### {}", r"\boxed{{{}}}"]
TABLE = Path(__file__).with_name("answer_pairs.tsv")
HEADER, *ROWS = [line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("row", ROWS, ids=[f"line{place}" for place in range(2, len(ROWS) + 2)])
def test_the_verifier_agrees_with_a_careful_reader(row):
    kind, form, says, gold, verdict, options, reason = row
    choices = options.split(" | ") if options else None
    for lead in LEADS if form == "stated" else ["{}"]:
        completion = lead.format(says.replace("⏎", "\n"))
        assert is_right(completion, gold, kind, choices) is (verdict == "right"), (completion, gold, verdict, reason)


def test_the_table_is_whole():
    assert HEADER == ["kind", "form", "says", "gold", "verdict", "options", "reason"]
    assert all(len(row) == len(HEADER) and row[6] for row in ROWS)
    cells = itertools.product(("math", "choice"), ("stated", "whole"), ("right", "wrong"))
    assert {(row[0], row[1], row[4]) for row in ROWS} == set(cells)
    assert len({tuple(row[:4] + row[5:6]) for row in ROWS}) == len(ROWS) >= 200  # none twice
