"""`rlmec show`: the token rewards and edits of a run's samples, in the terminal or a pipe.

Colour is never the only sign. A token is shaded by its reward, blue above zero and orange below it, which colour-blind
readers tell apart, and one below zero also stands between ‹ and ›; a rewrite is shown as `git diff --word-diff` shows
it, [-38-]{+39+}; and a table has every number. A sample is text that a model wrote: what is not printable in it
(escape sequences, marks that turn the writing direction) is shown as \\x1b or \\u202e, and no markup is read.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from flows.report import plain_table

# Brewer's Blues and Oranges, the stronger the further from zero. Black on each has a contrast of 5 : 1 or more.
POSITIVE = ("#deebf7", "#9ecae1", "#6baed6", "#4292c6")
NEGATIVE = ("#fee6ce", "#fdae6b", "#fd8d3c", "#f16913")
OLD, NEW = f"strike black on {NEGATIVE[1]}", f"bold black on {POSITIVE[1]}"
ID, QUESTION = 8, 60  # characters shown in the list


def console() -> Console:
    """Standard output; colours where it is a terminal and NO_COLOR is not set."""
    made = Console(highlight=False, emoji=False)
    if not made.is_terminal:
        made.width = 120
    return made


def visible(text: object, keep: str = "") -> str:
    """Text with every character that is not printable, but for those in `keep`, as an escape: ESC is \\x1b."""
    return "".join(
        character if character.isprintable() or character in keep else ascii(character)[1:-1] for character in str(text)
    )


def show_list(heading: Mapping[str, Any], listed: pl.DataFrame, limit: int) -> None:
    """Print the first `limit` of some rows of `Scored.listed`."""
    to = console()
    title = f"Samples of {heading['run']} (recipe {heading['recipe']}), the lowest token reward first"
    columns = ("row", "sample", "verdict", "lowest reward", "edits", "rewrite", "problem")
    table = plain_table(escape(visible(title)), *columns)
    for column, place in ((0, "right"), (1, "left"), (2, "left"), (5, "left"), (6, "left")):
        table.columns[column].justify = place  # type: ignore[assignment]
    for row in listed.head(limit).iter_rows(named=True):
        edits = "–" if row["edits"] is None else str(row["edits"])
        question = visible(row["question"])
        short = question if len(question) <= QUESTION else f"{question[: QUESTION - 1]}…"
        words = (str(row["row"]), row["sample_id"][:ID], verdict(row["is_right"]), signed(row["lowest_reward"]))
        what = Text(visible(outcome(row["edits"], row["reject_reason"])))
        table.add_row(*words, edits, what, Text(short, no_wrap=True))
    to.print(table)
    shown = min(limit, len(listed))
    to.print(f"{shown} of {len(listed)} samples. One of them: rlmec show {heading['run_id'][:ID]} ROW", soft_wrap=True)


def signed(reward: float) -> str:
    """A reward with its sign; a plain 0 where there is none, so that the others stand out."""
    return f"{reward:+.3f}" if reward else "0"


def verdict(is_right: bool) -> str:
    return "right" if is_right else "wrong"


def outcome(edits: int | None, reject_reason: str | None) -> str:
    """What became of a sample's rewrite."""
    if edits is None:
        return "–"
    return reject_reason or "accepted"


def show_sample(found: Mapping[str, Any]) -> None:
    """Print all that `Scored.sample` knows of a sample."""
    to = console()
    sample, problem = found["sample"], found["problem"]
    stated = f"states {sample['extracted_answer']}" if sample["extracted_answer"] else "states no answer"
    cut = ", cut at the length limit" if sample["finish_reason"] == "length" else ""
    title = f"Sample {sample['sample_id']} is {verdict(sample['is_right'])}: it {stated}{cut}; the answer is "
    line(to, f"{title}{problem['answer']}", "bold")
    line(to, f"run {found['run']}, recipe {found['recipe']}, credit source {found['credit_source']}")
    section(to, "Problem", Text(visible("\n".join((problem["question"], *options(problem["options"]))), "\n")))
    section(to, "Reference solution", Text(visible(problem["solution"], "\n")))
    section(to, "Sample, each token shaded by its reward, ‹negative›", shaded(found["tokens"], found["rewards_range"]))
    rewrite = found["rewrite"]
    if rewrite is None:
        section(to, "Rewrite", Text("none: a right sample is not rewritten" if sample["is_right"] else "none"))
    else:
        kept = outcome(rewrite["edit_distance"], rewrite["reject_reason"])
        kept = kept if kept == "accepted" else f"rejected: {kept}"
        whose = f"Rewrite by {rewrite['rewriter']}, {kept}, as edits of the sample: [-old-]{{+new+}}"
        section(to, whose, word_diff([token["text"] for token in found["tokens"]], rewrite["tokens"], found["edits"]))
        to.print("", edit_table(found["edits"]), sep="\n")
    to.print(token_table(found))


def line(to: Console, text: str, style: str = "") -> None:
    """Print a line as it is; it may hold text of a sample."""
    to.print(Text(visible(text), style=style), soft_wrap=True)


def section(to: Console, title: str, body: Text) -> None:
    to.print()
    line(to, title, "bold")
    to.print(Padding(body, (0, 0, 0, 2)))


def options(texts: Sequence[str] | None) -> list[str]:
    """The choices of a problem, a line each."""
    return [f"({chr(ord('A') + number)}) {text}" for number, text in enumerate(texts or [])]


def shade(reward: float, bounds: Sequence[float]) -> str:
    """The style of a token with this reward, where `bounds` are the lowest and highest of the run; none for zero."""
    scale, most = (POSITIVE, bounds[1]) if reward > 0 else (NEGATIVE, bounds[0])
    if not reward or not most:
        return ""
    return f"black on {scale[min(int(reward / most * len(scale)), len(scale) - 1)]}"


def shaded(tokens: Sequence[Mapping[str, Any]], bounds: Sequence[float]) -> Text:
    """The sample with each token on the colour of its reward."""
    text = Text()
    for token in tokens:
        shown = visible(token["text"], "\n")
        style = shade(token["reward"], bounds)
        if token["reward"] < 0:  # a line break stays outside the marks, so that a line keeps its own
            body = shown.rstrip("\n")
            text.append(f"‹{body or chr(92) + 'n'}›", f"bold {style}").append(shown[len(body) :])
        else:
            text.append(shown, style)
    return text


def word_diff(old: Sequence[str], new: Sequence[str], edits: Sequence[Mapping[str, Any]]) -> Text:
    """The rewrite among what was taken out of the sample, neighbouring edits together."""
    gone = {edit["source"] for edit in edits if edit["kind"] != "insert"}
    come = {edit["target"] for edit in edits if edit["kind"] != "delete"}
    steps: list[tuple[str, str]] = []  # of edits that lie together, first what goes and then what comes
    source = target = 0
    while source < len(old) or target < len(new):
        start = len(steps)
        while source in gone:
            steps.append(("-", old[source]))
            source += 1
        while target in come:
            steps.append(("+", new[target]))
            target += 1
        if len(steps) == start:
            steps.append(("", new[target]))
            source, target = source + 1, target + 1
    text = Text()
    for sign, group in groupby(steps, key=lambda step: step[0]):
        shown = visible("".join(piece for _, piece in group), "" if sign else "\n")
        text.append(*{"-": (f"[-{shown}-]", OLD), "+": (f"{{+{shown}+}}", NEW), "": (shown, "")}[sign])
    return text


def edit_table(edits: Sequence[Mapping[str, Any]]) -> Table:
    """The edit script: kinds, positions and token texts."""
    table = plain_table("Edit script", "edit", "in sample", "token", "in rewrite", "token")
    for edit in edits:
        old, new = (quoted(edit[name]) for name in ("sample_token", "rewrite_token"))
        table.add_row(edit["kind"], str(edit["source"]), old, str(edit["target"]), new)
    for column in (2, 4):
        table.columns[column].justify = "left"
    return table


def token_table(found: Mapping[str, Any]) -> Table:
    """Every token's reward, its probability where the credit source has one, and what the rewrite does with it."""
    has_probability = any(token["probability"] is not None for token in found["tokens"])
    label = "p_GRM" if found["credit_source"] == "grm" else "probability"
    table = plain_table("Tokens", "position", "token", "reward", *([label] if has_probability else []), "edit")
    table.columns[0].justify, table.columns[1].justify, table.columns[-1].justify = "right", "left", "left"
    edited: dict[int, list[str]] = defaultdict(list)
    for edit in found["edits"]:
        what = {"replace": "→ ", "insert": "insert before: ", "delete": "deleted"}[edit["kind"]]
        edited[edit["source"]].append(what + ("" if edit["kind"] == "delete" else quoted(edit["rewrite_token"]).plain))
    for token in found["tokens"]:
        reward = Text(signed(token["reward"]), shade(token["reward"], found["rewards_range"]))
        probability = [Text(f"{token['probability']:.3f}")] if has_probability else []
        edit = Text(", ".join(edited[token["position"]]))
        table.add_row(Text(str(token["position"])), quoted(token["text"]), reward, *probability, edit)
    return table


def quoted(text: str | None) -> Text:
    """A token's text in quotation marks, so that its spaces are seen; nothing where there is none."""
    return Text("" if text is None else f"“{visible(text)}”")
