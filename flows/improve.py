"""`rlmec improve`: the recurring flow. One round starts from the registered model's alias `champion`, samples anew,
trains, evaluates both on the same problems, and moves `champion` only if the new policy is better.

    rlmec improve tiny      a round
    rlmec rollback tiny     the champion before this one is champion again

Where there is no champion yet, the policy of stage `warm_up` becomes the first. A round that was killed is the same
round when it is started again, with the same seed, and so goes on where it was.
"""

import json
from datetime import datetime
from typing import Any

import polars as pl
from prefect import flow

from flows.config import RunConfig
from flows.control import Control
from flows.key import stage_seed
from flows.method import command, method
from flows.notes import NOTE, run_note
from flows.page.publish import publish_run
from flows.pipeline import Outcome, Part, run_method
from flows.registry import champion, promote, register_policy, registered_name, registry_lock
from flows.server import prefect_server
from flows.stage import say
from flows.store import Store, open_store
from flows.summary import log_numbers
from tasks.compare_predictions import CompareOptions
from tasks.promotion import decide

KIND = "round"
LEVEL = 0.05


def candidate_method(run: Any, config: RunConfig) -> None:
    """The method from a champion, and the candidate against it on the same problems."""
    before, after = method(run, config)
    run("compare_predictions", CompareOptions(), predictions=after, against=before)


@flow(name="improve")
def improve(config: RunConfig, level: float = LEVEL) -> Outcome:
    """One round. level: how improbable luck must be before the candidate becomes champion."""
    store = open_store()
    store.sweep()
    number = last_round(store, config.preset) + 1
    name = f"improve-{config.preset}-{number}-{datetime.now():%m%d-%H%M%S}"
    tags = {"rlmec.kind": KIND, "rlmec.preset": config.preset, "rlmec.round": str(number)}
    with store.running(name, tags) as parent:
        store.params(parent, {**config.model_dump(mode="json"), "level": level})
        model = registered_name(config.preset)
        old = champion(store, model)
        if old is None and config.policy.checkpoint is None:
            old = first_champion(store, config, parent)
        start = f"models:/{model}/{old}" if old else config.policy.checkpoint
        policy = config.policy.model_copy(update={"checkpoint": start})
        seed = stage_seed(config.seed, f"round {number}")
        fresh = config.model_copy(update={"seed": seed, "policy": policy})
        outcome = run_part(candidate_method, fresh, parent, f"round {number}")
        with registry_lock():
            result = conclude(store, outcome, level, old) | {"round": number, "start": start}
            store.client.log_text(parent, json.dumps(result, indent=2), "summary.json")
            log_numbers(store, parent, result, outcome.numbers)
            store.tag(parent, {NOTE: f"Round {number} from {start}. {run_note(result)} {result['reason']}."})
            publish_run(store, parent, result)
            store.tag(parent, {"rlmec.promoted": str(result["promoted"]), "rlmec.candidate": result["candidate"]})
            if result["promoted"]:
                # Last: a round that fails has changed nothing, and is made again from where it began.
                promote(store, model, result["candidate"])
        became = "is the new champion" if result["promoted"] else f"does not replace {start}"
        say(f"{model}: version {result['candidate']} {became}: {result['reason']}")
    return Outcome(result, parent, outcome.numbers)


def conclude(store: Store, outcome: Outcome, level: float, old: str | None) -> dict[str, Any]:
    """Register the candidate and decide whether it becomes champion in the place of version `old`; the round's summary.
    One that was compared with a champion that is none any more, as after a rollback, does not."""
    summary = outcome.summary
    runs = {stage["name"]: stage["run_id"] for stage in summary["stages"]}
    table = store.fetch(store.stage_run(runs["compare_predictions"]).outputs["comparison"])
    decision = decide(pl.read_parquet(table).to_dicts(), level)
    new = register_policy(store, store.stage_run(runs["train_policy"]), summary)
    model = registered_name(summary["preset"])
    promoted, reason, now = decision.promoted, decision.reason, champion(store, model)
    if now != old:
        promoted, reason = False, f"version {now} became champion while the round was at work with version {old}"
    return {**summary, "candidate": new, "promoted": promoted, "reason": reason, "p": decision.p}


def first_champion(store: Store, config: RunConfig, parent: str) -> str:
    """Register the policy that a preset starts from as the first champion; its version."""
    outcome = run_part(method, config, parent, "warm-up", until="warm_up")
    (warmed,) = (stage["run_id"] for stage in outcome.summary["stages"] if stage["name"] == "warm_up")
    model = registered_name(config.preset)
    version = register_policy(store, store.stage_run(warmed), outcome.summary | {"recipe": "warm_up"})
    with registry_lock():
        promote(store, model, version)
    say(f"{model}: version {version}, the warm-up policy, is the first champion")
    return version


def run_part(body: Any, config: RunConfig, parent: str, name: str, until: str | None = None) -> Outcome:
    """A pipeline below the round's run."""
    control = Control(until=until, command=command(config))
    return run_method(body, config, control, part=Part(parent, name, {"rlmec.purpose": KIND}))


def last_round(store: Store, preset: str) -> int:
    """The number of the last round of a preset that was finished, 0 before the first."""
    where = f"tags.`rlmec.kind` = '{KIND}' and tags.`rlmec.preset` = '{preset}' and attributes.status = 'FINISHED'"
    return max((int(run.data.tags["rlmec.round"]) for run in store.search(where)), default=0)


def run_rounds(config: RunConfig, level: float = LEVEL, rounds: int = 1) -> list[Outcome]:
    """Rounds one after the other, each as a Prefect flow."""
    with prefect_server():
        return [improve(config, level) for _ in range(rounds)]
