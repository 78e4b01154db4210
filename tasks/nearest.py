"""A name that does not exist is answered with the nearest one that does."""

import difflib
from collections.abc import Iterable


def suggestion(name: str, choices: Iterable[str]) -> str:
    """`did you mean 'tiny'?`, or all the choices where none is near."""
    known = list(choices)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known) or 'none'}"
