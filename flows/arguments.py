"""What each command of `rlmec` takes: a function a command, which adds its arguments to a parser.

add_rollback(parser)    `rlmec rollback [PRESET]`
"""

import argparse
from collections.abc import Callable


def add_run(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("preset", nargs="?", metavar="PRESET", help="a preset's name or TOML file (default: tiny)")
    add("--recipe", metavar="NAME", help="a recipe's name or TOML file (default: rlmec)")
    add("--seed", type=int, metavar="N", help="the run's seed (default: 0)")
    add("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="set an option; repeatable")
    add("--force", action="append", default=[], metavar="STAGE", help="run a stage again; repeatable")
    add("--only", metavar="STAGE", help="run this stage alone, on what its upstream stages left in the store")
    add("--until", metavar="STAGE", help="stop after this stage")
    add("--from-run", metavar="RUN", help="take earlier stages from this run (id, its beginning, or name)")
    add("--dry-run", action="store_true", help="check everything and print the plan with sizes; train nothing")
    add("--json", action="store_true", help="print summary.json on standard output")


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("checkpoint", metavar="CHECKPOINT", help="a local folder, a hub id, or models:/rlmec-tiny@candidate")
    add(
        "--benchmarks",
        required=True,
        metavar="NAME,…",
        help="datasets, their splits as NAME:SPLIT, or your .jsonl files",
    )
    add("--against", metavar="CHECKPOINT", help="another checkpoint, to compare with on the same problems")
    add("--data", metavar="FOLDER", help="holds a folder of published files for each dataset (default: from the hub)")
    add("--samples", type=int, metavar="N", help="N completions a problem: pass@k and majority vote (default: greedy)")
    add("--seed", type=int, metavar="N", help="draws the samples (default: 0)")
    add("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="set an option; repeatable")
    add("--force", action="append", default=[], metavar="STAGE", help="run a stage again; repeatable")
    add("--json", action="store_true", help="print summary.json on standard output")


def add_compare(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("recipes", nargs="*", metavar="RECIPE", help="recipes by name or TOML file")
    add("--credit", action="store_true", help="compare credit sources, on samples that nothing was trained on")
    add("--preset", metavar="PRESET", help="a preset's name or TOML file (default: tiny)")
    add("--seeds", type=numbers(int), metavar="N,…", help="seeds of the runs (default: 0,1,2)")
    add("--against", metavar="RECIPE,…", help="what the others are compared with (default: sft,rlmec)")
    add("--rates", type=numbers(float), metavar="X,…", help="learning rates tried, × the preset's (default: 0.5,1,2)")
    add("--tuning-seed", type=int, metavar="N", help="the seed that learning rates are chosen on (default: 1000)")
    add("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="set an option; repeatable")
    add("--json", action="store_true", help="print the numbers on standard output")


def add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", metavar="RUN", help="a run's or comparison's id, the beginning of one, its name, or latest"
    )


def numbers(kind: Callable[[str], int | float]) -> Callable[[str], list[int | float]]:
    """Reads `0,1,2`."""

    def read(text: str) -> list[int | float]:
        return [kind(part) for part in text.split(",")]

    read.__name__ = "number list"  # argparse says so of a value that does not fit
    return read


def add_improve(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add_rounds(parser)
    add("--rounds", type=positive, default=1, metavar="N", help="rounds one after the other (default: 1)")
    add("--json", action="store_true", help="print each round's summary on standard output")


def add_serve(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add_rounds(parser)
    add("--cron", required=True, metavar="SCHEDULE", help="minute, hour, day, month, weekday, such as '0 3 * * 1'")
    add_listener(parser, 4200, "the Prefect server")


def add_rounds(parser: argparse.ArgumentParser) -> None:
    """What a round of the recurring flow depends on."""
    add = parser.add_argument
    add("preset", nargs="?", metavar="PRESET", help="a preset's name or TOML file (default: tiny)")
    add("--recipe", metavar="NAME", help="a recipe's name or TOML file (default: rlmec)")
    add("--seed", type=int, metavar="N", help="every round draws its own seed from this one (default: 0)")
    add("--level", type=share, metavar="P", help="of the paired test that a new champion must pass (default: 0.05)")
    add("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="set an option; repeatable")


def positive(text: str) -> int:
    """A whole number above 0."""
    if (number := int(text)) < 1:
        raise ValueError
    return number


def share(text: str) -> float:
    """A number between 0 and 1."""
    if not 0 < (number := float(text)) < 1:
        raise ValueError
    return number


def add_rollback(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("preset", nargs="?", metavar="PRESET", help="a preset's name or TOML file (default: tiny)")


def add_prune(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--keep", type=positive, default=20, metavar="N", help="newest finished runs that stay (default: 20)")
    add("--delete", action="store_true", help="delete, rather than show what would be")


def add_show(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", metavar="RUN", help="a run's id, the beginning of one, its name, or latest")
    add("sample", nargs="?", metavar="SAMPLE", help="a row of the list, or the beginning of an id (default: the list)")
    verdict = parser.add_mutually_exclusive_group()
    verdict.add_argument("--right", dest="verdict", action="store_const", const=True, help="list right samples only")
    verdict.add_argument("--wrong", dest="verdict", action="store_const", const=False, help="list wrong samples only")
    add("--limit", type=positive, default=20, metavar="N", help="rows of the list (default: 20)")
    add("--json", action="store_true", help="print the numbers on standard output")


def add_list(parser: argparse.ArgumentParser) -> None:
    from flows.listing import KINDS

    parser.add_argument("kind", choices=list(KINDS))


def add_ui(parser: argparse.ArgumentParser) -> None:
    add_listener(parser, 5000, "the page")


def add_listener(parser: argparse.ArgumentParser, port: int, what: str) -> None:
    """Where a server listens."""
    add = parser.add_argument
    add("--host", default="127.0.0.1", metavar="ADDRESS", help=f"where {what} listens (default: 127.0.0.1)")
    add("--port", type=int, default=port, metavar="N", help=f"its port (default: {port})")


def add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prefect", action="store_true", help="also start Prefect's server once (10 s)")
