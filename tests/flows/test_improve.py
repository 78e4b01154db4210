"""Champions and candidates: the registry's part, and two rounds as a user types them, on a model too small to be
right."""

import json
from types import SimpleNamespace

import polars as pl
import pytest

from flows import improve
from flows.pipeline import Outcome
from flows.registry import champion, promote, register_policy, registered_model, rollback
from flows.store import Store, open_store
from tasks.errors import UserError


def test_a_champion_that_is_rolled_back_gives_way_to_the_one_before_it(bench):
    store, versions = None, []
    for updates in (2, 3, 4):
        bench.go(updates=updates)
        store = open_store()
        versions.append(store.client.get_model_version_by_alias("rlmec-toy", "candidate").version)
    assert champion(store, "rlmec-toy") is None
    for version in versions:
        promote(store, "rlmec-toy", str(version))
    assert champion(store, "rlmec-toy") == str(versions[2])
    assert rollback(store, "rlmec-toy") == (str(versions[2]), str(versions[1]))
    assert rollback(store, "rlmec-toy") == (str(versions[1]), str(versions[0]))
    found = registered_model(store, "models:/rlmec-toy@champion")
    assert found.path.joinpath("weights").read_text().split()[1] == "2"  # the policy of two updates
    with pytest.raises(UserError, match="was the first champion, and there is none before it"):
        rollback(store, "rlmec-toy")


def test_what_was_never_champion_cannot_be_rolled_back(bench):
    bench.go()
    with pytest.raises(UserError, match="rlmec-toy has no champion: `rlmec improve` makes the first"):
        rollback(open_store(), "rlmec-toy")
    with pytest.raises(UserError, match="rlmec-other has no champion"):
        rollback(open_store(), "rlmec-other")


def test_a_policy_registered_again_keeps_its_version(bench):
    bench.go()
    store, run_id = open_store(), bench.stage("train_policy")["run_id"]
    first = register_policy(store, store.stage_run(run_id), bench.outcome.summary)
    assert register_policy(store, store.stage_run(run_id), bench.outcome.summary) == first


def test_a_version_that_is_champion_already_is_not_made_so_again(bench):
    bench.go(updates=2)
    bench.go(updates=3)
    store = open_store()
    for version in ("1", "2", "2"):
        promote(store, "rlmec-toy", version)
    assert rollback(store, "rlmec-toy") == ("2", "1")


@pytest.mark.parametrize(("compared_with", "promoted"), [("1", True), ("2", False)])
def test_a_candidate_takes_the_place_of_the_champion_that_it_was_compared_with_and_of_no_other(
    bench, monkeypatch, compared_with, promoted
):
    """Version 1 is champion: the round began with it, or with version 2, which was rolled back meanwhile."""
    bench.go()
    store, summary = open_store(), bench.outcome.summary
    trained = store.stage_run(bench.stage("train_policy")["run_id"])
    register_policy(store, trained, summary)
    promote(store, "rlmec-toy", "1")
    pl.DataFrame({"benchmark": ["all"]}).write_parquet(bench.folder / "comparison.parquet")
    monkeypatch.setattr(improve, "decide", lambda rows, level: SimpleNamespace(promoted=True, reason="better", p=0.001))
    monkeypatch.setattr(Store, "fetch", lambda self, output: bench.folder / "comparison.parquet")
    run = SimpleNamespace(outputs={**trained.outputs, "comparison": None}, run_id=trained.run_id)
    monkeypatch.setattr(Store, "stage_run", lambda self, run_id: run)
    stages = [*summary["stages"], {"name": "compare_predictions", "run_id": ""}]
    result = improve.conclude(store, Outcome({**summary, "stages": stages}, ""), 0.05, compared_with)
    assert result["promoted"] is promoted
    if not promoted:
        assert result["reason"] == "version 1 became champion while the round was at work with version 2"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("improve")


@pytest.fixture(scope="module")
def rounds(place, rlmec):
    """Two rounds in a row."""
    code, output, errors = rlmec(
        place, "improve", "smoke", "--recipe", "ppo-instance", "--rounds", "2", "--json", *rlmec.small
    )
    assert code == 0, errors
    return [json.loads(line) for line in output.splitlines()], errors


def test_the_warm_up_policy_is_the_first_champion_and_rounds_draw_samples_of_their_own(rounds):
    (first, second), errors = rounds
    assert "version 1, the warm-up policy, is the first champion" in errors
    assert (first["round"], first["start"]) == (1, "models:/rlmec-smoke/1")
    assert (second["round"], second["start"]) == (2, "models:/rlmec-smoke/1")  # two updates make nothing better
    digests = [
        next(stage["digest"] for stage in summary["stages"] if stage["name"] == "sample") for summary in (first, second)
    ]
    assert digests[0] != digests[1]
    assert (first["candidate"], second["candidate"]) == ("2", "3")


def test_a_candidate_that_is_no_better_does_not_become_champion_and_the_reason_is_said(rounds, place):
    (first, _), errors = rounds
    assert first["promoted"] is False
    assert first["reason"].startswith("it is not better at level 0.05")
    assert "rlmec-smoke: version 2 does not replace models:/rlmec-smoke/1: it is not better" in errors
    assert "On the same problems" in errors  # the table of the paired comparison


def test_rolling_back_the_first_champion_is_a_mistake_of_one_line(rounds, place, rlmec):
    code, _, errors = rlmec(place, "rollback", "smoke")
    assert code == 2
    assert errors.splitlines()[-1] == (
        "rlmec: rlmec-smoke: version 1 was the first champion, and there is none before it to go back to"
    )
