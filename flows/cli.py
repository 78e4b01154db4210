"""The `rlmec` command. Exit codes: 0 done, 1 a stage failed, 2 the user's mistake, 130 Ctrl-C, 143 SIGTERM.

A command is a function that takes the parsed arguments and returns an exit code, and a line in COMMANDS.
Everything heavy is imported inside the commands, so that `rlmec --help` and `rlmec list` answer at once.
"""

import argparse
import json
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flows.home import home, quieten
from tasks.errors import UserError

if TYPE_CHECKING:
    from flows.config import RunConfig

FULL_BYTES = 1 << 20  # a disk with less room than this is what made a command fail

Command = Callable[[argparse.Namespace], int]


def run(arguments: argparse.Namespace) -> int:
    """Run a pipeline; print its tables, or with --json its summary on standard output."""
    from flows.control import Control
    from flows.report import show
    from flows.rlmec import run_pipeline
    from flows.store import open_store

    base = None
    if arguments.from_run and arguments.preset is None:
        base = open_store().config_of(arguments.from_run)
    from flows.config import load_config

    config = load_config(arguments.preset, arguments.recipe, arguments.seed, arguments.set, base)
    control = Control(tuple(arguments.force), arguments.only, arguments.until, arguments.from_run, typed(arguments))
    if arguments.dry_run:
        from flows.plan import show_plan

        plan = show_plan(config, control)
        if arguments.json:
            print(json.dumps(plan))
        return 0
    outcome = run_pipeline(config, control)
    if arguments.json:
        print(json.dumps(outcome.summary))
    show(outcome, open_store())
    return 0


def typed(arguments: argparse.Namespace) -> str:
    """The command as the user typed it, without the stages that it names."""
    words = ["rlmec", "run", *([arguments.preset] if arguments.preset else [])]
    for option in ("recipe", "seed"):
        value = getattr(arguments, option)
        words += [f"--{option}", str(value)] if value is not None else []
    for setting in arguments.set:
        words += ["--set", setting]
    return shlex.join(words)


def evaluate(arguments: argparse.Namespace) -> int:
    """Evaluate a checkpoint on benchmarks, alone or against another; print the tables."""
    from flows.evaluate import evaluation_config, run_evaluation
    from flows.report import show
    from flows.store import open_store

    config = evaluation_config(
        arguments.checkpoint,
        arguments.benchmarks.split(","),
        against=arguments.against,
        data=arguments.data,
        samples=arguments.samples,
        seed=arguments.seed,
        sets=arguments.set,
    )
    outcome = run_evaluation(config, tuple(arguments.force))
    if arguments.json:
        print(json.dumps(outcome.summary))
    show(outcome, open_store())
    return 0


def compare(arguments: argparse.Namespace) -> int:
    """Compare recipes on the same samples; print the tables, or with --json their numbers on standard output."""
    from flows.compare import ComparisonConfig, run_comparison
    from flows.config import checked
    from flows.report import show_comparison
    from flows.store import open_store

    given = {"recipes": arguments.recipes, "preset": arguments.preset, "seeds": arguments.seeds,
             "rates": arguments.rates, "tuning_seed": arguments.tuning_seed, "sets": arguments.set}  # fmt: skip
    config = checked(ComparisonConfig, {name: value for name, value in given.items() if value is not None}, "")
    outcome = run_comparison(config)
    if arguments.json:
        print(json.dumps(outcome.summary))
    show_comparison(outcome, open_store())
    return 0


def report(arguments: argparse.Namespace) -> int:
    """Draw the page of an earlier run or comparison again; say where it is."""
    from flows.page.publish import publish_again
    from flows.report import page_lines
    from flows.store import open_store

    store = open_store()
    for line in page_lines(publish_again(store, arguments.run), store):
        say(line)
    return 0


def improve(arguments: argparse.Namespace) -> int:
    """Rounds of the recurring flow; print the last one's tables, or with --json every round's summary, a line each."""
    from flows.improve import run_rounds
    from flows.report import show
    from flows.store import open_store

    outcomes = run_rounds(*round_of(arguments), arguments.rounds)
    for outcome in outcomes if arguments.json else ():
        print(json.dumps(outcome.summary))
    show(outcomes[-1], open_store())
    return 0


def serve(arguments: argparse.Namespace) -> int:
    """Run the recurring flow on a schedule until Ctrl-C."""
    from flows.serve import serve

    return serve(*round_of(arguments), arguments.cron, arguments.host, arguments.port)


def round_of(arguments: argparse.Namespace) -> "tuple[RunConfig, float]":
    """What a round of the recurring flow depends on: the configuration and the level of its test."""
    from flows.config import load_config
    from flows.improve import LEVEL

    config = load_config(arguments.preset, arguments.recipe, arguments.seed, arguments.set)
    return config, LEVEL if arguments.level is None else arguments.level


def rollback(arguments: argparse.Namespace) -> int:
    """Make the champion before this one champion again."""
    from flows.config import DEFAULT_PRESET
    from flows.registry import registered_name, rollback
    from flows.store import open_store

    name = registered_name(Path(arguments.preset or DEFAULT_PRESET).stem)
    was, now = rollback(open_store(), name)
    say(f"{name}: version {now} is champion again, in the place of {was}")
    return 0


def prune(arguments: argparse.Namespace) -> int:
    """Show what the store no longer needs; with --delete, delete it."""
    from flows.report import show_waste
    from flows.retention import delete, waste
    from flows.store import open_store

    store = open_store()
    unneeded = waste(store, arguments.keep)
    show_waste(unneeded)
    if arguments.delete:
        delete(store, unneeded)
        freed = "Marked as deleted: `mlflow gc` on the server's machine frees the space"
        say(freed if store.is_remote else "Deleted")
    elif unneeded.runs or unneeded.folders:
        say(f"Nothing was deleted: rlmec prune --keep {arguments.keep} --delete does it")
    return 0


def list_things(arguments: argparse.Namespace) -> int:
    """Print what there is of a kind, a line each."""
    from flows.listing import lines

    for line in lines(arguments.kind):
        print(line)
    return 0


def ui(arguments: argparse.Namespace) -> int:
    """Serve the MLflow UI on our store until Ctrl-C."""
    from flows.ui import serve

    return serve(arguments.host, arguments.port)


def doctor(arguments: argparse.Namespace) -> int:
    """Check the environment, a line a check; 1 if something is wrong."""
    from flows.doctor import check

    return check(with_prefect=arguments.prefect)


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
    add("recipes", nargs="+", metavar="RECIPE", help="recipes by name or TOML file")
    add("--preset", metavar="PRESET", help="a preset's name or TOML file (default: tiny)")
    add("--seeds", type=numbers(int), metavar="N,…", help="seeds of the runs (default: 0,1,2)")
    add("--rates", type=numbers(float), metavar="X,…", help="learning rates tried, × the preset's (default: 0.5,1,2)")
    add("--tuning-seed", type=int, metavar="N", help="the seed that learning rates are chosen on (default: 1000)")
    add("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="set an option; repeatable")
    add("--json", action="store_true", help="print the numbers on standard output")


def add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run or comparison: id, its beginning, or name")


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


COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None], Command]] = {
    "run": ("run the method, or the stages of it that are not in the store", add_run, run),
    "evaluate": ("a checkpoint's accuracy on benchmarks, alone or against another's", add_evaluate, evaluate),
    "compare": ("several recipes on the same samples, one table", add_compare, compare),
    "report": ("the page of an earlier run or comparison, drawn again", add_report, report),
    "improve": ("the recurring flow: train from the champion, promote what is better", add_improve, improve),
    "serve": ("the recurring flow on a schedule, until Ctrl-C", add_serve, serve),
    "rollback": ("make the champion before this one champion again", add_rollback, rollback),
    "prune": ("what the store no longer needs, and with --delete, away with it", add_prune, prune),
    "list": (
        "what there is: presets, recipes, stages, datasets, teachers, credits, objectives, runs",
        add_list,
        list_things,
    ),
    "ui": ("the MLflow UI on the store", add_ui, ui),
    "doctor": ("check the environment, the store and the device", add_doctor, doctor),
}


def parser() -> argparse.ArgumentParser:
    """The command line as argparse sees it."""
    top = argparse.ArgumentParser(
        prog="rlmec", description="Token-level rewards from a generative reward model, as a workflow."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (text, add_arguments, _) in COMMANDS.items():
        add_arguments(commands.add_parser(name, help=text, description=text))
    return top


def terminate(number: int, frame: object) -> None:
    """End on SIGTERM as on Ctrl-C: through the `finally` and `except` of whatever is running."""
    raise SystemExit(128 + number)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = parser().parse_args(argv)
    quieten()
    signal.signal(signal.SIGTERM, terminate)
    try:
        return COMMANDS[arguments.command][2](arguments)
    except UserError as error:
        say(f"rlmec: {' '.join(str(error).split())}")
        return 2
    except KeyboardInterrupt:
        say("rlmec: interrupted; what was finished stays finished, and the same command goes on from there")
        return 130
    except Exception as error:  # noqa: BLE001 (the last line of defence: one line, exit code 1)
        where = " ".join(getattr(error, "__notes__", []))
        what = f"{type(error).__name__}: {' '.join(str(error).split())}"
        say(f"rlmec: {where or arguments.command} failed: {what}")
        if shutil.disk_usage(home()).free < FULL_BYTES:
            say(f"rlmec: the disk that holds {home()} is full: make room, and the same command goes on from there")
        return 1


def say(line: str) -> None:
    """One line on standard error."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
