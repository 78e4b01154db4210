"""README and docs/ name files that are there, and commands that `rlmec` understands."""

import re
import shlex
from pathlib import Path

import pytest

from flows.cli import COMMANDS, parser

ROOT = Path(__file__).parents[2]
PAGES = {page.name: page for page in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))}
COMMAND = re.compile(r"(?:^ *|`)(?:OMP_NUM_THREADS=1 )?(rlmec [^`\n]+)", re.MULTILINE)
NAMED = re.compile(r"`((?:docs|flows|tasks|models|tests|benchmarks)/[\w./-]+\.\w+)`")
LEFT_OUT = re.compile(r"…|\||<|\.\.\.")  # a command with one of these stands for several


@pytest.mark.parametrize("name", PAGES)
def test_every_file_that_a_page_links_or_names_is_there(name):
    text = PAGES[name].read_text(encoding="utf-8")
    linked = [PAGES[name].parent / link for link in re.findall(r"\]\((?!https?:)([\w./-]+)\)", text)]
    assert [path for path in (*linked, *(ROOT / path for path in NAMED.findall(text))) if not path.exists()] == []


def commands(text: str) -> list[list[str]]:
    """The words of each command that a page shows in full."""
    found = [re.split(r" +# ", command)[0] for command in COMMAND.findall(text.replace("\\\n", " "))]
    return [shlex.split(command)[1:] for command in found if not LEFT_OUT.search(command)]


@pytest.mark.parametrize("name", PAGES)
def test_every_command_that_a_page_shows_is_understood(name):
    for words in commands(PAGES[name].read_text(encoding="utf-8")):
        if len(words) == 1:  # may be the command's name alone
            assert words[0] in COMMANDS or words[0].startswith("-"), words
            continue
        numbered = ["2" if word == "N" else word for word in words]
        try:
            parser().parse_args(numbered)
        except SystemExit as ended:
            pytest.fail(f"{name}: rlmec {' '.join(words)} ({ended})")


def test_the_commands_of_the_readme_are_seen():
    found = commands(PAGES["README.md"].read_text(encoding="utf-8"))
    assert len(found) > 30
    assert ["show", "latest", "--wrong"] in found
