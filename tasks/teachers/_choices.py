"""How the scripted teacher puts right a rationale for a choice question.

    reference  Beads of water can be formed by clouds.|The answer is beads
    sample     Clouds are made of water vapor.|Rain can be formed by clouds.|The answer is rain
    rewrite    Clouds are made of water vapor.|Beads can be formed by clouds.|The answer is beads

Lines that do not name the wrong choice stay. One that names it, and is otherwise much like a reference step,
names the right one instead; any other such line goes. Reference steps come in where nothing else leads to the
answer.
"""

import re
from collections.abc import Iterator, Sequence

from tasks.teachers import Problem
from tasks.teachers._alignment import Changes, Fit, aligned
from tasks.teachers._steps import Reference, Step

SHARED_WORDS = 0.5  # of the line's, with a reference step, for it to name the right choice instead
LETTER = re.compile(r"(?P<before>\W*)(?P<letter>[A-J])(?P<after>[).:]*)(?P<text>\s+.+?)?(?P<stop>\W*)")


def bodies(steps: list[Step], reference: Reference, problem: Problem, chosen: str) -> list[list[str]]:
    """Rewrites of the lines before the answer line; `chosen` is what the sample's answer line says."""
    wrong = _chosen_option(problem, chosen)

    def between(step: Step, before: Sequence[Step]) -> str | None:
        if any(step.text.strip() and step.text == other.text for other in before):
            return None
        if wrong is not None and _names(step.text, wrong) and not _names(step.text, problem.answer):
            text = _pattern(wrong).sub(lambda match: _cased(problem.answer, match[0]), step.text)
            return text if _is_like(Step(text), reference.steps) else None
        foreign = step.vocabulary - reference.vocabulary
        return None if step.vocabulary and foreign == step.vocabulary else step.text

    def adaptations(step: Step, targets: Sequence[Step]) -> Iterator[tuple[str, Changes]]:
        if len(targets) == 1:
            yield step.indent + targets[0].text.lstrip(), {}

    kept = {i for i, step in enumerate(steps) if step.words and between(step, steps[:i]) == step.text}
    naming = [step for step in reference.steps if _names(step.text, problem.answer)]
    said = {steps[i].text for i in kept}
    plans = [[], naming[-1:] or reference.steps[-1:], naming or reference.steps, reference.steps]
    missing = [[step for step in plan if step.text not in said] for plan in plans]
    found = [aligned(steps, kept, needed, Fit(between, adaptations))[0] for needed in missing]
    leads = [body for body in found if any(_names(line, problem.answer) for line in body)]
    return leads if naming else found[1:]


def letter_answer(answer: str, problem: Problem) -> str | None:
    """The sample's answer "(B)" or "B. rain" with the right letter and text; None for another form."""
    match = LETTER.fullmatch(answer)
    options = [option.casefold().strip() for option in problem.options or []]
    if match is None or problem.answer.casefold().strip() not in options:
        return None
    if match["text"] and not (match["after"] or "(" in match["before"]):
        return None  # "A rainy day"
    letter = chr(ord("A") + options.index(problem.answer.casefold().strip()))
    text = f" {problem.answer}" if match["text"] else ""
    return match["before"] + letter + match["after"] + text + match["stop"]


def _chosen_option(problem: Problem, chosen: str) -> str | None:
    """The wrong choice that an answer line names, by its text or its letter."""
    options = problem.options or []
    others = [option for option in options if option.casefold() != problem.answer.casefold()]
    for option in sorted(others, key=len, reverse=True):
        if option.strip() and _names(chosen, option):
            return option
    letter = LETTER.fullmatch(chosen)
    place = ord(letter["letter"]) - ord("A") if letter else len(options)
    return options[place] if place < len(options) and options[place] in others else None


def _pattern(option: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(option.strip())}(?!\w)", re.IGNORECASE)


def _names(text: str, option: str) -> bool:
    return _pattern(option).search(text) is not None


def _cased(option: str, like: str) -> str:
    return option[:1].upper() + option[1:] if like[:1].isupper() else option


def _is_like(step: Step, others: Sequence[Step]) -> bool:
    enough = SHARED_WORDS * len(step.vocabulary)
    return any(len(step.vocabulary & other.vocabulary) >= enough for other in others)
