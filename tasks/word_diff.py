"""What a rewrite changed, word by word, for a reader (stage `align` has the exact edits of tokens).

word_diff("He has 3+4=8 pens.", "He has 3+4=7 pens.")
[("kept", "He has 3+4="), ("replaced", "8", "7"), ("kept", " pens.")]
"""

import re

from rapidfuzz.distance import Levenshtein

Segment = tuple[str, ...]

WORDS = re.compile(r"\w+|\s+|[^\w\s]")
KINDS = {"equal": "kept", "insert": "inserted", "delete": "deleted", "replace": "replaced"}


def word_diff(old: str, new: str) -> list[Segment]:
    """Segments ("kept", text), ("deleted", text), ("inserted", text) and ("replaced", old, new), in order. Those that
    are not inserted give the old text, those that are not deleted the new one."""
    before, after = WORDS.findall(old), WORDS.findall(new)
    pieces = []
    for step in Levenshtein.opcodes(before, after):
        pieces.append(("".join(before[step.src_start : step.src_end]), "".join(after[step.dest_start : step.dest_end])))
    return [segment(left, right) for left, right in joined(pieces)]


def joined(pieces: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The pieces with changes that stand next to each other, or a single blank apart, as one."""
    result: list[tuple[str, str]] = []
    for place, (left, right) in enumerate(pieces):
        changes = left != right
        follows = bool(result) and result[-1][0] != result[-1][1]
        bridges = left == " " and follows and place + 1 < len(pieces)
        if follows and (changes or bridges):
            result[-1] = (result[-1][0] + left, result[-1][1] + right)
        else:
            result.append((left, right))
    return result


def segment(left: str, right: str) -> Segment:
    """One segment, from what stands on either side."""
    if left == right:
        return ("kept", left)
    if left and right:
        return ("replaced", left, right)
    return ("deleted", left) if left else ("inserted", right)
