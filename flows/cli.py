"""The `rlmec` command. Exit codes: 0 done, 1 a stage failed, 2 the user's mistake, 130 Ctrl-C, 143 SIGTERM.

A command is a function that takes the parsed arguments and returns an exit code, and a line in COMMANDS.
Everything heavy is imported inside the commands, so that `rlmec --help` and `rlmec list` answer at once.
"""

import argparse
import gc
import json
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flows.arguments import (
    add_compare,
    add_doctor,
    add_evaluate,
    add_improve,
    add_list,
    add_prune,
    add_report,
    add_rollback,
    add_run,
    add_serve,
    add_show,
    add_ui,
)
from flows.home import home, quieten
from tasks.errors import UserError

if TYPE_CHECKING:
    from flows.config import RunConfig
    from flows.pipeline import Outcome
    from flows.store import Store

OBJECTS = 10_000  # new ones between two searches for garbage: imports make many that stay, which took 0.4 s to search
FULL_BYTES = 1 << 20  # a disk with less room than this is what made a command fail

Command = Callable[[argparse.Namespace], int]


def run(arguments: argparse.Namespace) -> int:
    """Run a pipeline; print its tables, or with --json its summary on standard output."""
    from flows.control import Control
    from flows.method import run_pipeline
    from flows.report import show
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
    return told(arguments, run_pipeline(config, control), show)


def told(arguments: argparse.Namespace, outcome: "Outcome", show: "Callable[[Outcome, Store], None]") -> int:
    """Print what came out: with --json its numbers on standard output, and its tables."""
    from flows.store import open_store

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

    config = evaluation_config(
        arguments.checkpoint,
        arguments.benchmarks.split(","),
        against=arguments.against,
        data=arguments.data,
        samples=arguments.samples,
        seed=arguments.seed,
        sets=arguments.set,
    )
    return told(arguments, run_evaluation(config, tuple(arguments.force)), show)


def compare(arguments: argparse.Namespace) -> int:
    """Compare recipes on the same samples; print the tables, or with --json their numbers on standard output."""
    from flows.compare import ComparisonConfig, run_comparison
    from flows.report import show_comparison
    from flows.tables import checked

    if arguments.credit:
        return compare_credit(arguments)
    given = {"recipes": arguments.recipes, "preset": arguments.preset, "seeds": arguments.seeds,
             "rates": arguments.rates, "tuning_seed": arguments.tuning_seed, "sets": arguments.set,
             "against": arguments.against and arguments.against.split(",")}  # fmt: skip
    config = checked(ComparisonConfig, {name: value for name, value in given.items() if value is not None}, "")
    return told(arguments, run_comparison(config), show_comparison)


def compare_credit(arguments: argparse.Namespace) -> int:
    """Compare credit sources without training a policy on them."""
    from flows.credit import CreditComparisonConfig, run_credit_comparison
    from flows.report import show_credit
    from flows.tables import checked

    if arguments.recipes or arguments.rates or arguments.against or arguments.tuning_seed is not None:
        raise UserError("compare --credit trains no policy: it takes --preset, --seeds and --set, and no recipe")
    given = {"preset": arguments.preset, "seeds": arguments.seeds, "sets": arguments.set}
    config = checked(CreditComparisonConfig, {name: value for name, value in given.items() if value is not None}, "")
    return told(arguments, run_credit_comparison(config), show_credit)


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


def show(arguments: argparse.Namespace) -> int:
    """Show a run's samples, or one with its token rewards and edits; with --json as numbers."""
    from flows.samples import Scored
    from flows.show import show_list, show_sample
    from flows.store import open_store

    scored = Scored(open_store(), arguments.run)
    if arguments.sample is not None:
        found = scored.sample(arguments.sample)
        print(json.dumps(found)) if arguments.json else show_sample(found)
        return 0
    listed = scored.listed()
    if arguments.verdict is not None:
        listed = listed.filter(is_right=arguments.verdict)
    if arguments.json:
        print(json.dumps({**scored.heading, "samples": listed.head(arguments.limit).to_dicts()}))
    else:
        show_list(scored.heading, listed, arguments.limit)
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


COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None], Command]] = {
    "run": ("run the method, or the stages of it that are not in the store", add_run, run),
    "evaluate": ("a checkpoint's accuracy on benchmarks, alone or against another's", add_evaluate, evaluate),
    "compare": ("several recipes on the same samples, one table", add_compare, compare),
    "report": ("the page of an earlier run or comparison, drawn again", add_report, report),
    "improve": ("the recurring flow: train from the champion, promote what is better", add_improve, improve),
    "serve": ("the recurring flow on a schedule, until Ctrl-C", add_serve, serve),
    "rollback": ("make the champion before this one champion again", add_rollback, rollback),
    "prune": ("what the store no longer needs, and with --delete, away with it", add_prune, prune),
    "show": ("a run's samples: which tokens are rewarded, and what a rewrite edits", add_show, show),
    "list": (
        "what there is: presets, recipes, stages, datasets, teachers, samplers, credits, objectives, runs",
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
    gc.set_threshold(OBJECTS)
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
