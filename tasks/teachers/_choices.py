"""How the scripted teacher puts right a rationale for a choice question.

    reference  Beads of water can be formed by clouds.|The answer is beads
    sample     Clouds are made of water vapor.|Rain can be formed by clouds.|The answer is rain
    rewrite    Clouds are made of water vapor.|Beads can be formed by clouds.|The answer is beads

Lines that are about the question and do not argue for the wrong choice stay. One that argues for it, and is
otherwise much like a reference step, names the right one instead; any other such line goes. The last reference
steps come in where nothing else leads to the answer.
"""

import re
from collections.abc import Iterator, Sequence

from tasks.teachers import Problem
from tasks.teachers._alignment import Changes, Fit, aligned
from tasks.teachers._reference import Reference
from tasks.teachers._steps import Step, step_of

SHARED_WORDS = 0.5  # of the line's, with a reference step, for it to name the right choice instead
ABOUT = 1 / 3  # of a line's words must come from the question, the choices or the reference
LETTER = re.compile(r"(?P<before>\W*)(?P<letter>[A-J])(?P<after>[).:]*)(?P<text>\s+.+?)?(?P<stop>\W*)")
AGAINST = r"\b(?:not|nor|than|unlike|instead of)\s+(?:\w+\s+){0,2}"


def bodies(steps: list[Step], reference: Reference, problem: Problem, chosen: str) -> list[list[str]]:
    """Rewrites of the lines before the answer line; `chosen` is what the sample's answer line says."""
    wrong = _chosen_option(problem, chosen) or _argued_option(problem, steps, reference)
    known = {word.rstrip("s") for word in reference.vocabulary}
    known = known.union(*(step_of(option).content for option in problem.options or ()))

    def between(step: Step, before: Sequence[Step]) -> str | None:
        if any(step.text.strip() and step.text == other.text for other in before):
            return None
        if re.search(AGAINST + _pattern(problem.answer).pattern, step.text, re.IGNORECASE):
            return None
        if wrong is not None and _argues(step, wrong, problem, reference):
            return _corrected(step, wrong, problem, reference)
        return step.text if len(step.content & known) >= ABOUT * len(step.content) else None

    def adaptations(step: Step, targets: Sequence[Step]) -> Iterator[tuple[str, Changes]]:
        if len(targets) == 1:
            yield step.indent + targets[0].text.lstrip(), {}

    kept = {i: -1 for i, step in enumerate(steps) if step.words and between(step, steps[:i]) == step.text}
    naming = [step for step in reference.steps if _says(step, problem.answer)]
    said = {steps[i].text for i in kept}
    plans = [[], naming[-1:], naming, reference.steps] if naming else [reference.steps]
    missing = [[(j, step) for j, step in enumerate(plan) if step.text not in said] for plan in plans]
    found = [aligned(steps, kept, needed, Fit(between, adaptations))[0] for needed in missing]
    return [body for body in found if not naming or any(_says(step_of(line), problem.answer) for line in body)]


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


def _others(problem: Problem) -> list[str]:
    """The wrong choices, the longest first."""
    options = [option for option in problem.options or [] if option.strip()]
    return sorted((o for o in options if o.casefold() != problem.answer.casefold()), key=len, reverse=True)


def _chosen_option(problem: Problem, chosen: str) -> str | None:
    """The wrong choice that an answer line names, by its text or its letter."""
    for option in _others(problem):
        if _pattern(option).search(chosen):
            return option
    options = problem.options or []
    letter = LETTER.fullmatch(chosen)
    place = ord(letter["letter"]) - ord("A") if letter else len(options)
    return options[place] if place < len(options) and options[place] in _others(problem) else None


def _argued_option(problem: Problem, steps: Sequence[Step], reference: Reference) -> str | None:
    """The wrong choice that a sample without an answer names last, and neither question nor reference name."""
    told = [problem.question, *(step.text for step in reference.steps)]
    for step in reversed(steps):
        for option in _others(problem):
            if _pattern(option).search(step.text) and not any(_pattern(option).search(text) for text in told):
                return option
    return None


def _argues(step: Step, wrong: str, problem: Problem, reference: Reference) -> bool:
    """Whether the line names the wrong choice alone, where no reference step like it does so too."""
    names = _pattern(wrong).search
    if not names(step.text) or _pattern(problem.answer).search(_pattern(wrong).sub("", step.text)):
        return False  # a wrong choice may hold the right one: "a bottle that does not fit"
    return not any(names(other.text) and _is_like(step, wrong, other) for other in reference.steps)


def _corrected(step: Step, wrong: str, problem: Problem, reference: Reference) -> str | None:
    """The line with the right choice for the wrong one; None where no reference step is like that."""
    if not any(_is_like(step, wrong, other) for other in reference.steps):
        return None
    right = _in_running_text(problem, reference)

    def put(match: re.Match[str]) -> str:
        starts = not step.text[: match.start()].strip() and match[0][:1].isupper()
        return right[:1].upper() + right[1:] if starts else right

    return _pattern(wrong).sub(put, step.text)


def _in_running_text(problem: Problem, reference: Reference) -> str:
    """The right choice as the reference writes it inside a sentence, or else as it stands among the choices."""
    for step in reference.steps:
        for match in _pattern(problem.answer).finditer(step.text):
            if step.text[: match.start()].strip() or not match[0][1:].islower():
                return match[0]
    options = {option.casefold(): option for option in problem.options or []}
    return options.get(problem.answer.casefold(), problem.answer).strip()


def _pattern(option: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(option.strip())}(?!\w)", re.IGNORECASE)


def _says(step: Step, option: str) -> bool:
    """Whether the line names the choice, or has its words in some form: "jumping rope" for "jump rope"."""
    if _pattern(option).search(step.text):
        return True
    forms = [rf"\b(?:{word}(?:s|es|d|ed|ing)?|{word[:-1]}ing)\b" for word in step_of(option).content if len(word) > 2]
    return bool(forms) and all(re.search(form, step.text, re.IGNORECASE) for form in forms)


def _is_like(step: Step, option: str, other: Step) -> bool:
    """Whether the line says much of what a reference step says, apart from the choice that it names."""
    words = step.content - step_of(option).content
    return len(words & other.content) >= SHARED_WORDS * len(words)
