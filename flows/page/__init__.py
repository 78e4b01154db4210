"""The pages that a run and a comparison leave in MLflow: one HTML file each that needs no network.

    publish_run(store, run_id, summary, stages)      logs report.html beside summary.json

Templates, style and scripts lie beside this file; Jinja2 escapes whatever it puts into them. Samples go into the page
as JSON, from which the script makes text nodes, and a content security policy lets no other script run.
"""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from flows.notes import duration

HERE = Path(__file__).parent
PAGE = "report.html"


def visible(value: Any) -> Any:
    """A text with a mark in the place of each character that would turn around or hide others."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "".join(f"⟨U+{ord(letter):04X}⟩" if is_control(letter) else letter for letter in value)


def is_control(letter: str) -> bool:
    """Whether a character is a control character other than a blank, a direction mark or of no width."""
    number = ord(letter)
    return (number < 32 and letter not in "\t\n\r") or 127 <= number < 160 or letter in CONTROLS


CONTROLS = frozenset("\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff")


def token(text: str) -> str:
    """A token in a table, with its blanks to be seen: " has" → ␣has."""
    return text.replace(" ", "␣").replace("\n", "↵").replace("\t", "⇥") or "∅"


@cache
def environment() -> Environment:
    """Jinja2 with our templates and filters."""
    made = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, finalize=visible,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    made.filters |= {"duration": duration, "token": token}
    return made


def render(template: str, **values: Any) -> str:
    """A whole page. Its style and its script are the files named in the template's `script` block."""
    script = "\n".join((HERE / name).read_text() for name in ("browse.js", f"{template}.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = (HERE / "page.css").read_text()
    page = environment().get_template(f"{template}.html")
    return page.render(script=Markup(script), script_digest=digest, style=Markup(style), **values)


def figure(macro: str, drawn: Any) -> str:
    """One drawing of `charts.html` as a file of its own, for MLflow's page of artifacts."""
    style = Markup((HERE / "page.css").read_text())
    return str(getattr(environment().get_template("charts.html").module, macro)(drawn, style))
