"""`rlmec prune`: what it would delete, what it must never delete, and that it is gone afterwards (see conftest)."""

import json

import pytest
from mlflow.entities import ViewType

from flows.control import stage_runs
from flows.registry import promote
from flows.retention import delete, waste
from flows.store import open_store


@pytest.fixture
def four(bench):
    """Four pipelines that share `prepare` and `spare` and differ in updates; the policy of 3 updates is champion."""
    runs = {}
    for updates in (2, 3, 4, 5):
        bench.go(updates=updates)
        runs[updates] = bench.outcome.run_id
    promote(open_store(), "rlmec-toy", "2")
    return runs


def names(runs):
    return sorted(run.info.run_name.split("-2")[0].partition("-fake")[0] for run in runs)


def everything(store, view=ViewType.ALL):
    return {run.info.run_id for run in store.client.search_runs([store.experiment], run_view_type=view)}


def test_the_newest_pipeline_and_the_champions_stay_with_all_that_they_were_made_from(bench, four):
    store = open_store()
    found = waste(store, keep=1)
    # Of 4 pipelines and 2 + 4 · 2 stages go the first and the third pipeline, each with its policy and evaluation;
    # what these four share was computed by the first and stays.
    assert names(found.runs) == ["evaluate-after", "evaluate-after", "toy", "toy", "train_policy", "train_policy"]
    assert {run.info.run_id for run in found.runs} >= {four[2], four[4]}
    assert sorted(str(version.version) for version in found.versions) == ["1", "3"]
    assert found.size > 0


def test_nothing_goes_while_fewer_runs_are_there_than_are_kept(four):
    found = waste(open_store(), keep=4)
    assert (found.runs, found.models, found.versions, found.folders, found.size) == ([], [], [], [], 0)


def test_what_is_deleted_is_gone_from_the_database_and_the_disk_and_the_rest_is_whole(bench, four):
    store = open_store()
    before, found = everything(store), waste(store, keep=1)
    gone = {run.info.run_id for run in found.runs}
    folders = [bench.artifact(run_id, "") for run_id in gone]
    assert all(folder.is_dir() for folder in folders)
    delete(store, found)
    assert everything(store) == before - gone
    assert not any(folder.exists() for folder in folders)
    for updates in (3, 5):
        for run_id in stage_runs(store.client.get_run(four[updates])).values():
            assert store.stage_run(run_id).outputs  # read, and compared with its digest
    assert bench.go(updates=5) == bench.go(updates=3) == []
    assert bench.go(updates=2) == ["train_policy", "evaluate"]


def test_a_deletion_that_was_interrupted_goes_on_the_next_time(bench, four):
    store = open_store()
    found = waste(store, keep=1)
    store.client.delete_model_version(found.versions[0].name, found.versions[0].version)
    store.client.delete_logged_model(found.models[0])
    rest = waste(store, keep=1)
    assert list(rest.models) == list(found.models[1:])
    delete(store, rest)
    assert not everything(store) & {run.info.run_id for run in found.runs}


def test_a_run_that_failed_goes_with_the_finished_ones_of_its_time(bench, four):
    with pytest.raises(ValueError, match="thirteen"):
        bench.go(updates=13)
    assert names(waste(open_store(), keep=1).runs).count("toy") == 2  # it began after the newest finished one
    bench.go(updates=6)
    assert names(waste(open_store(), keep=1).runs).count("toy") == 4


def test_a_policy_with_an_alias_of_the_users_or_registered_under_another_name_stays(bench, four):
    store = open_store()
    store.client.set_registered_model_alias("rlmec-toy", "production", "1")
    trained = store.stage_run(stage_runs(store.client.get_run(four[4]))["train_policy"])
    store.client.create_registered_model("mine")
    store.client.create_model_version("mine", f"models:/{trained.outputs['model'].model_id}", trained.run_id)
    assert waste(store, keep=1).runs == []


def test_a_run_of_another_program_is_left_alone(bench, four):
    store = open_store()
    run = store.client.create_run(store.experiment)
    store.client.set_terminated(run.info.run_id)
    bench.go(updates=6)
    assert run.info.run_id not in {one.info.run_id for one in waste(store, keep=1).runs}


def test_a_run_at_work_stays(bench, four):
    store = open_store()
    run = store.start("at work", {"rlmec.kind": "pipeline"})
    bench.go(updates=6)
    assert run.info.run_id not in {one.info.run_id for one in waste(store, keep=1).runs}


def test_folders_of_stages_that_no_kept_run_began_go_unless_another_process_is_at_work_there(bench, four):
    from flows.stage import working_folder

    work = bench.folder / "home" / "work"
    (work / "0123").mkdir(parents=True)
    (work / "0123" / "shard").write_text("x" * 100)
    store = open_store()
    with working_folder("4567", anew=False):
        found = waste(store, keep=4)
        assert [folder.name for folder in found.folders] == ["0123"]
        assert found.size == 100
        delete(store, found)
        assert not (work / "0123").exists()
        assert (work / "4567").exists()


def test_the_command_shows_and_deletes_only_when_told(bench, four, capsys):
    from flows.cli import main

    store = open_store()
    before = everything(store)
    assert main(["prune", "--keep", "1"]) == 0
    said = capsys.readouterr().err
    assert "6 runs, 4 of them stages; 2 versions of registered policies" in " ".join(said.split())
    assert "rlmec prune --keep 1 --delete does it" in said
    assert everything(store) == before
    assert main(["prune", "--keep", "1", "--delete"]) == 0
    assert len(everything(store)) == len(before) - 6
    assert json.loads(store.client.get_registered_model("rlmec-toy").tags["rlmec.champions"]) == ["2"]


def test_a_folder_that_a_stage_goes_on_in_after_it_was_found_stays(bench, four):
    from flows.stage import working_folder

    shard = bench.folder / "home" / "work" / "0123" / "shard"
    shard.parent.mkdir(parents=True)
    shard.write_text("done")
    store = open_store()
    found = waste(store, keep=4)
    assert [folder.name for folder in found.folders] == ["0123"]
    with working_folder("0123", anew=False):
        delete(store, found)
        assert shard.read_text() == "done"
