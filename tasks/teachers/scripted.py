"""Offline: aligns the sample's steps with the reference's and changes wrong numbers, then wrong steps.

    question   Tom has 12 apples. He buys 5 more and gives 8 to Anna. How many are left?
    reference  Tom buys 5 more: 12 + 5 = 17.|He gives 8 to Anna: 17 - 8 = 9.|The answer is 9.
    sample     So Tom has 12 + 5 = 18 now.|Anna gets 8, so 18 - 8 = 10.|The answer is 10.
    rewrite    So Tom has 12 + 5 = 17 now.|Anna gets 8, so 17 - 8 = 9.|The answer is 9.

Several plans are made. Each keeps some of the sample's own sound steps, asks which reference steps the
answer still needs, and aligns the other lines with those by dynamic programming over token edits: a line is
kept, gets the numbers of a reference step that is about the same thing, or is deleted; a reference step may be
inserted. A plan is offered only if it is coherent: each number it uses is given or was computed before, and its
last equation makes the answer from the numbers of the question that the reference makes it from. So the answer
line alone is corrected only where the steps already lead to the right answer.
"""

import re
from fractions import Fraction
from functools import partial
from itertools import product

from tasks.equations import equations, numbers
from tasks.teachers import Problem
from tasks.teachers._alignment import Changes, Fit, aligned
from tasks.teachers._choices import bodies as choice_bodies
from tasks.teachers._choices import letter_answer
from tasks.teachers._fitting import adaptations, between, unsigned, with_numbers
from tasks.teachers._reference import Made, Reference, Trace, grounded
from tasks.teachers._steps import ANSWER_LINE, Step, step_of

INLINE_ANSWER = re.compile(r"(?<=\S)\s+(?=(?:[A-Z][a-z]+,? )?[Tt]he (?:final )?answer is\b)")
MAX_LINES, MAX_CHARACTERS = 60, 12_000  # of a sample; what lies beyond is not worth keeping


def candidates(problem: Problem, sample: str) -> list[str]:
    """Rewrites of `sample`, none of them verified; the reference in the sample's answer form is the last."""
    reference = Reference(problem)
    lines, answer_line, glue, tail = _split(sample, reference)
    steps = [step_of(line) for line in lines]
    match = ANSWER_LINE.match(answer_line or "")
    chosen = match["answer"] if match else ""
    if problem.options and not any(step.equations for step in reference.steps):
        found = choice_bodies(steps, reference, problem, chosen)
    else:
        found = [body for body in _bodies(steps, reference, problem, chosen) if _coherent(body, reference)]
    found.append([step.text for step in reference.steps])
    endings = _answer_lines(match, problem, reference)
    texts = ("\n".join(body) + (glue if body else "") + end + tail for body, end in product(found, endings))
    return list(dict.fromkeys(texts))


def _split(sample: str, reference: Reference) -> tuple[list[str], str | None, str, str]:
    """The lines before the answer line, that line if any, what parts them, and the space at the end.

    What follows the answer line is dropped, and so is a last line that was cut off.
    """
    body = sample.rstrip()
    tail = sample[len(body) :]
    lines = body[:MAX_CHARACTERS].split("\n")[:MAX_LINES] if body else []
    for i, line in enumerate(lines):
        if ANSWER_LINE.fullmatch(line):
            return lines[:i], line, "\n", tail
    if lines and (inline := INLINE_ANSWER.search(lines[-1])):
        return [*lines[:-1], lines[-1][: inline.start()]], lines[-1][inline.end() :], inline[0], tail
    if lines and _is_cut_off(lines[-1], reference):
        lines.pop()
    return lines, None, "\n", tail


def _is_cut_off(line: str, reference: Reference) -> bool:
    """Whether a sample that has no answer line stops in the middle of this one."""
    if reference.answer_line.startswith(line.strip()):
        return True
    stops = [re.search(r"[.!?)]\s*$", text) for text in [line, *(step.text for step in reference.steps)]]
    return stops[0] is None and (not equations(line) or all(stops[1:]))


def _bodies(steps: list[Step], reference: Reference, problem: Problem, chosen: str) -> list[list[str]]:
    """Rewrites of the lines before the answer line, from several choices of sound steps to keep."""
    sound = _sound(steps, reference)
    first_wrong = next((i for i, s in enumerate(steps) if s.equations and i not in sound), len(steps))
    answer = numbers(chosen)
    wrong_answer = answer[0].value if len(answer) == 1 else None
    found = [_recomputed(steps)]
    places = _places(sound)
    for last in (len(steps), first_wrong, 0):
        kept = {i: place for i, place in places.items() if i < last}
        needed = [(j, reference.steps[j]) for j in reference.needed({made for i in kept for made in sound[i]})]
        changed: Changes = {wrong_answer: problem.answer} if wrong_answer not in reference.known else {}
        for _ in range(2):  # the second pass knows which values the first one put right
            fit = Fit(
                partial(between, reference=reference, changed=changed),
                partial(adaptations, reference=reference, changed=changed),
            )
            body, changes = aligned(steps, kept, needed, fit)
            changed = changed | {old: new for old, new in changes.items() if old not in reference.known}
        found.append(body)
        found.append([s.text for i, s in enumerate(steps) if i in kept] + [s.text for _, s in needed])
    return found


def _sound(steps: list[Step], reference: Reference) -> dict[int, set[Made]]:
    """Which steps compute truly from known numbers, towards something that the reference makes too, and what."""
    trace, known = Trace(reference.asked, reference.computed), set(reference.given)
    true: dict[int, set[Made]] = {}
    for i, step in enumerate(steps):
        is_new = all(step.text != steps[k].text for k in true)
        if step.equations and step.is_true and not step.is_open and is_new and grounded(step, known):
            true[i] = reference.covers(trace.add(step))
            known |= set(step.results)
    useful: dict[int, set[Made]] = {}
    wanted: set[Fraction | None] = set()
    for i, made in reversed(true.items()):
        if made or (wanted | reference.assumed) & set(steps[i].results):
            useful[i] = made
            wanted |= {n.value for e in steps[i].equations for n in e.numbers} - reference.asked
    return useful


def _places(sound: dict[int, set[Made]]) -> dict[int, int]:
    """Where each sound step belongs among the reference's: with the first that it says, or before the next one's."""
    places: dict[int, int] = {}
    place = 0
    for i in sorted(sound, reverse=True):
        place = min((j for j, _ in sound[i]), default=place)
        places[i] = place
    return places


def _coherent(body: list[str], reference: Reference) -> bool:
    """Each number used is known by then, every equation holds, no line repeats, the last makes the answer."""
    if len(body) - len(set(body)) > body.count("") - ("" in body):
        return False
    own = {step.text: made.keys() for step, made in zip(reference.steps, reference.makes, strict=True)}
    trace, known = Trace(reference.asked, reference.computed), set(reference.given)
    ends = reference.target is None
    for step in map(step_of, body):
        made = trace.add(step, in_words=step.text in own)
        if step.text in own:
            used = {n.value for e in step.equations for n in e.numbers}
            if used & (reference.computed - own[step.text]) - known:
                return False
        else:
            said = {n.value for n in step.said}
            if not step.is_true or not grounded(step, known) or said - made.keys() - reference.given - known:
                return False
        known |= made.keys()
        ends = reference.target in reference.covers(made) if made else ends
    return ends


def _recomputed(steps: list[Step]) -> list[str]:
    """The sample's own equations worked out again, each new value carried into the lines that follow."""
    changed: Changes = {}
    lines = []
    for step in steps:
        text = with_numbers(step.text, step.numbers, changed)
        for equation in reversed(equations(text)):
            old = equation.stated_numbers[0]
            new = _written(equation.value)
            if not equation.holds and new is not None and len(equation.stated_numbers) == 1:
                text = text[: unsigned(text, old)] + new + text[old.end :]
                changed[old.value] = new
        lines.append(text)
    return lines


def _written(value: Fraction | None) -> str | None:
    """A value as text: whole, or with at most four decimals; None where that is not exact."""
    if value is None or (value * 10_000).denominator != 1 or value < 0:
        return None
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.4f}".rstrip("0")


def _answer_lines(match: re.Match[str] | None, problem: Problem, reference: Reference) -> list[str]:
    """The sample's answer line with the right answer in it, in the forms that may verify."""
    if match is None:
        return [reference.answer_line]
    form, answer = match["form"], match["answer"]
    if form.rstrip() == form and form[-1:].isalpha():
        form += " "  # "The answer is" was cut off there
    if not answer.strip() and reference.answer_line.startswith(form.strip()):
        return [reference.answer_line]
    endings = []
    found = numbers(answer)
    if problem.options:
        endings += [form + text for text in [letter_answer(answer, problem)] if text is not None]
    elif len(found) == 1 and reference.answer is not None:
        before = answer[: found[0].start]
        sign = before.rstrip("-−") if reference.answer >= 0 or before.endswith(("-", "−")) else before
        endings.append(form + sign + problem.answer + answer[found[0].end :])
    stop = re.search(r"[.\s]*$", answer)
    endings.append(form + problem.answer + (stop[0] if stop else ""))
    return endings
