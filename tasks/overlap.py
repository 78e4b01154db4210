"""Problems that ask the same, exactly or nearly: within training, and between training and what is held out.

Exactly: the question and its options are equal but for case, spaces, Unicode forms and the options' order. Nearly:
of the words of both problems at least `similarity` percent are the same words in the same order (options are sorted
and follow the question). A number is a word like another, so a story told with other numbers is a near duplicate,
while a bare expression with other numbers is another problem:

    Bella has 12 apples. She buys 3 more and eats 2. How many apples are left?    16 words
    Bella has 40 apples. She buys 7 more and eats 5. How many apples are left?    16 words, 13 of them the same
                                                           similarity 100 · (13 + 13) / (16 + 16) = 81
    What is 12 * 3?    What is 40 * 7?                     similarity 100 · (3 + 3) / (5 + 5) = 60
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from rapidfuzz import fuzz
from rapidfuzz.process import cdist

from tasks.progress import Counter, counting
from tasks.records import stable_id

OVERLAP: dict[str, pl.DataType | type[pl.DataType]] = {
    "problem_id": pl.String,
    "benchmark": pl.String,
    "benchmark_problem_id": pl.String,
    "kind": pl.String,  # "exact" | "near"
    "similarity": pl.Float64,  # 0..100
    "question": pl.String,
    "options": pl.List(pl.String),
    "benchmark_question": pl.String,
    "benchmark_options": pl.List(pl.String),
}
CELLS = 2_000_000  # pairs compared at once: it bounds the memory, 8 MB of similarities
# A number, a letter of a script that sets no spaces between words, a word, or an operator. LaTeX's brackets and signs
# are left out: they would make any two formulas alike.
_WORD = re.compile(r"\d+(?:[.,]\d+)*|[\u3040-\u30ff\u3400-\u9fff]|[^\W\d_\u3040-\u30ff\u3400-\u9fff]+|[-+*/=<>^%−×÷]")


def question_key(question: str, options: list[str] | None) -> str:
    """The same for problems that ask the same: case, spaces, Unicode forms and order of options aside."""
    return stable_id(_folded(question), sorted(map(_folded, options or ())))


def without_duplicates(problems: pl.DataFrame) -> pl.DataFrame:
    """`problems` with the first of those that ask the same."""
    return _with_key(problems).unique("key", keep="first", maintain_order=True).drop("key")


def exact_overlap(train: pl.DataFrame, held_out: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The pairs (columns: OVERLAP) of a training problem and a problem of a held-out table that ask the same."""
    keys = _with_key(train).select("problem_id", "key")
    found = [pl.DataFrame(schema=OVERLAP)]
    for name, problems in held_out.items():
        others = _with_key(problems).select("key", benchmark_problem_id="problem_id")
        pairs = keys.join(others, on="key", maintain_order="left_right").with_columns(
            kind=pl.lit("exact"), similarity=pl.lit(100.0)
        )
        found.append(_with_texts(pairs, train, name, problems))
    return pl.concat(found)


def near_overlap(train: pl.DataFrame, held_out: Mapping[str, pl.DataFrame], similarity: float) -> pl.DataFrame:
    """The near duplicates (columns: OVERLAP) of training problems in held-out tables, the most similar first.

    Problems made from templates are near duplicates by the million, so not every pair is listed: each problem of
    either side that has a near duplicate on the other stands with its most similar one. The distinct ids of each
    side are therefore all that there are, and a held-out table adds at most as many rows as both have problems.
    """
    numbers: dict[str, int] = {}
    words = _words(train, numbers)
    found = [pl.DataFrame(schema=OVERLAP)]
    with counting("near duplicates", train.height * len(held_out), "problems") as compared:
        for name, problems in held_out.items():
            pairs = _nearest(words, _words(problems, numbers), similarity, compared)
            table = pl.DataFrame(
                {
                    "problem_id": train["problem_id"].gather([row for row, _, _ in pairs]),
                    "benchmark_problem_id": problems["problem_id"].gather([other for _, other, _ in pairs]),
                    "similarity": pl.Series([score for _, _, score in pairs], dtype=pl.Float64).round(1),
                }
            )
            found.append(_with_texts(table.with_columns(kind=pl.lit("near")), train, name, problems))
    return pl.concat(found)


def _nearest(
    train: Sequence[Sequence[int]], others: Sequence[Sequence[int]], similarity: float, compared: Counter
) -> list[tuple[int, int, float]]:
    """(training row, other row, similarity) of each row of either side that has a near one and its most similar."""
    pairs: dict[tuple[int, int], float] = {}
    other_rows = np.arange(len(others))
    best, best_row = np.zeros(len(others), np.float32), np.zeros(len(others), np.int64)
    step = max(1, CELLS // max(1, len(others)))
    for start in range(0, len(train) if others else 0, step):
        scores = cdist(train[start : start + step], others, scorer=fuzz.ratio, dtype=np.float32, workers=-1)
        nearest = scores.argmax(axis=1)
        for row in np.flatnonzero(scores.max(axis=1) >= similarity):
            pairs[start + int(row), int(nearest[row])] = float(scores[row, nearest[row]])
        nearest = scores.argmax(axis=0)
        top = scores[nearest, other_rows]
        best_row = np.where(top > best, start + nearest, best_row)
        best = np.maximum(top, best)
        compared.advance(len(scores))
    for column in np.flatnonzero(best >= similarity):
        pairs[int(best_row[column]), int(column)] = float(best[column])
    return sorted(((*pair, score) for pair, score in pairs.items()), key=lambda pair: (-pair[2], pair[:2]))


def _words(problems: pl.DataFrame, numbers: dict[str, int]) -> list[list[int]]:
    """Each problem's words, as the numbers that stand for them; new words are added to `numbers`."""
    texts = (
        " ".join([_folded(question), *sorted(map(_folded, options or ()))])
        for question, options in problems.select("question", "options").iter_rows()
    )
    # A text without any word is one word, lest two such texts count as the same.
    return [[numbers.setdefault(word, len(numbers)) for word in _WORD.findall(text) or [text]] for text in texts]


def _with_texts(pairs: pl.DataFrame, train: pl.DataFrame, name: str, problems: pl.DataFrame) -> pl.DataFrame:
    """Pairs with the benchmark's name and both problems' texts, so that the table can be read by itself."""
    ours = train.select("problem_id", "question", "options")
    theirs = problems.select(
        benchmark_problem_id="problem_id", benchmark_question="question", benchmark_options="options"
    )
    joined = pairs.join(ours, on="problem_id", how="left", maintain_order="left")
    joined = joined.join(theirs, on="benchmark_problem_id", how="left", maintain_order="left")
    return joined.with_columns(benchmark=pl.lit(name)).select(*OVERLAP)


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _with_key(problems: pl.DataFrame) -> pl.DataFrame:
    keys = [question_key(*row) for row in problems.select("question", "options").iter_rows()]
    return problems.with_columns(key=pl.Series(keys, dtype=pl.String))
