"""Reuse and reruns on a store of its own, with four fake stages (see conftest)."""

import pytest

from flows.control import Control
from flows.execution import Direct
from flows.pipeline import run_method
from flows.store import open_store
from tasks.errors import UserError

ALL = ["prepare", "spare", "train_policy", "evaluate"]


def test_a_second_identical_run_computes_nothing_and_links_the_first_runs_stages(bench):
    assert bench.go() == ALL
    first = bench.outcome.summary["stages"]
    assert bench.go() == []
    second = bench.outcome.summary["stages"]
    assert [stage["reused"] for stage in second] == [True] * 4
    assert [stage["run_id"] for stage in second] == [stage["run_id"] for stage in first]
    assert [stage["seconds"] for stage in second] == [stage["seconds"] for stage in first]


def test_a_plan_of_a_finished_pipeline_concludes_it_and_of_an_unfinished_one_leaves_nothing(bench):
    from flows.pipeline import reused

    method = bench.method
    config = bench.config_of()
    assert reused(method, config, Control(), bench.package) is None
    assert list(open_store().search("")) == []
    bench.go()
    outcome = reused(method, config, Control(), bench.package)
    assert outcome is not None
    assert [stage["reused"] for stage in outcome.summary["stages"]] == [True] * 4


def test_a_changed_option_reruns_its_stage_and_what_follows(bench):
    bench.go()
    assert bench.go(updates=3) == ["train_policy", "evaluate"]


def test_an_upstream_rerun_with_the_same_bytes_leaves_what_follows_reused(bench):
    bench.go(text="abc")
    # Another text, so prepare and all that reads it run; the key holds the whole input's digest.
    assert bench.go(text="abcd") == ["prepare", "spare", "train_policy"]
    # Its model uses the first three letters only, so the evaluation finds the same bytes and is reused.
    assert bench.stage("evaluate-after")["reused"]


def test_the_seed_reruns_every_stage_but_the_unseeded_one(bench):
    bench.go(seed=0)
    assert bench.go(seed=1) == ["spare", "train_policy", "evaluate"]


def test_force_reruns_the_stage_alone_when_its_bytes_stay_the_same(bench):
    bench.go()
    before = bench.stage("train_policy")
    assert bench.go(force=("train_policy",)) == ["train_policy"]
    assert bench.stage("train_policy")["run_id"] != before["run_id"]
    assert bench.stage("train_policy")["digest"] == before["digest"]


def test_until_stops_after_its_stage(bench):
    assert bench.go(until="spare") == ["prepare", "spare"]
    assert [stage["name"] for stage in bench.outcome.summary["stages"]] == ["prepare", "spare"]


def test_only_names_the_missing_upstream_and_the_command_that_makes_it(bench):
    with pytest.raises(UserError, match=r"needs prepare.*`rlmec run toy --until prepare` first"):
        bench.go(only="train_policy", command="rlmec run toy")
    assert bench.ran() == []


def test_only_runs_its_stage_and_nothing_beside_it(bench):
    bench.go(until="prepare")
    assert bench.go(only="train_policy") == ["train_policy"]
    assert [stage["name"] for stage in bench.outcome.summary["stages"]] == ["prepare", "train_policy"]


def test_only_runs_its_stage_again_where_it_was_done_before(bench):
    bench.go()
    assert bench.go(only="spare") == ["spare"]


def test_from_run_takes_earlier_stages_although_their_code_has_changed(bench):
    bench.go()
    run_id = bench.outcome.run_id
    helper = bench.code / "helper.py"
    helper.write_text("VALUE = 2\n")  # every fake stage imports it
    bench.forget_code()
    assert bench.go(updates=3, from_run=run_id[:12]) == ["train_policy", "evaluate"]
    assert bench.stage("prepare")["reused"]
    assert bench.go(only="train_policy", from_run=run_id) == ["train_policy"]


def test_from_run_without_a_difference_takes_all_of_it(bench, capsys):
    from flows.pipeline import reused

    bench.go()
    first = bench.outcome.run_id
    name = open_store().client.get_run(first).info.run_name
    (bench.code / "helper.py").write_text("VALUE = 2\n")
    bench.forget_code()
    remark = "train_policy: taken as it is, though its code changed since: `--force train_policy` makes it again"
    capsys.readouterr()
    assert bench.go(from_run=name) == []
    assert remark in capsys.readouterr().err
    assert reused(bench.method, bench.config_of(), Control(from_run=first), bench.package)
    assert remark in capsys.readouterr().err


def test_only_on_what_other_code_left_in_the_store_says_so(bench):
    bench.go()
    (bench.code / "helper.py").write_text("VALUE = 2\n")
    bench.forget_code()
    with pytest.raises(UserError, match="only other code has left in the store .run .*--until prepare"):
        bench.go(only="spare")


def test_an_unknown_run_or_stage_is_named_with_the_nearest(bench):
    with pytest.raises(UserError, match=r"--force train_polcy.*did you mean 'train_policy'\?"):
        bench.go(force=("train_polcy",))
    with pytest.raises(UserError, match="no pipeline run is called 'nothing'"):
        bench.go(from_run="nothing")


def test_a_comment_reruns_nothing_and_code_reruns_what_imports_it(bench):
    bench.go()
    spare = bench.code / "spare.py"
    spare.write_text(spare.read_text() + "\n# a comment\n")
    bench.forget_code()
    assert bench.go() == []
    spare.write_text(spare.read_text() + "\nUNUSED = 1\n")
    bench.forget_code()
    assert bench.go() == ["spare"]


def test_a_stage_that_raises_is_failed_and_what_was_finished_stays(bench):
    with pytest.raises(ValueError, match="thirteen"):
        bench.go(updates=13)
    store = open_store()
    states = {run.info.run_name.split("-")[0]: run.info.status for run in store.search("")}
    assert states == {"prepare": "FINISHED", "spare": "FINISHED", "train_policy": "FAILED", "toy": "FAILED"}
    failed = next(run for run in store.search("tags.`rlmec.stage` = 'train_policy'"))
    assert "thirteen" in bench.artifact(failed.info.run_id, "error.txt").read_text()
    bench.ran()
    assert bench.go(updates=3) == ["train_policy", "evaluate"]


def test_ctrl_c_marks_the_stage_and_the_pipeline_killed(bench):
    spare = bench.code / "spare.py"
    spare.write_text(spare.read_text() + "\n    raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        bench.go()
    killed = list(open_store().search("attributes.status = 'KILLED'"))
    assert sorted(run.info.run_name.split("-")[0] for run in killed) == ["spare", "toy"]


def test_a_commit_leaves_no_working_files(bench):
    bench.go()
    assert list((bench.folder / "home" / "work").iterdir()) == []


@pytest.mark.parametrize(("label", "line"), [("train_policy", "none"), ("train_policy-dpo", "train_policy-dpo: none")])
def test_a_users_mistake_in_one_of_several_stages_of_a_kind_says_in_which(bench, label, line):
    from flows.control import Call
    from flows.stage import naming

    call = Call.of(0, "train_policy", bench.config_of().train_policy, label, True, {})
    with pytest.raises(UserError) as error, naming(call):
        raise UserError("none")
    assert str(error.value) == line


class Retrying(Direct):
    """Tries a stage that failed once more, as Prefect does."""

    def stage(self, label, action):
        try:
            return action()
        except OSError:
            return action()


def test_a_forced_stage_that_is_tried_again_goes_on_with_what_it_had_done(bench):
    spare = bench.code / "spare.py"
    body = """
    import pathlib
    if (shard := work.folder / "shard").exists():
        pathlib.Path(out, "copy.json").write_text(shard.read_text())
        return
    shard.write_text("made by the first attempt")
    raise OSError("a hiccup")
"""
    spare.write_text(spare.read_text() + body)
    control = Control(force=("spare",))
    outcome = run_method(bench.method, bench.config_of(), control, bench.package, Retrying())
    (made,) = (stage for stage in outcome.summary["stages"] if stage["name"] == "spare")
    assert bench.artifact(made["run_id"], "copy.json").read_text() == "made by the first attempt"


def test_code_that_is_edited_before_its_stage_is_loaded_does_not_run_under_the_old_codes_key(bench):
    trains = bench.code / "train_policy.py"
    before, prepare = trains.read_text(), bench.code / "prepare.py"
    edit = f"\n    Path({str(trains)!r}).write_text({(before + chr(10) + 'VALUE = 2' + chr(10))!r})\n"
    prepare.write_text(prepare.read_text() + edit)
    with pytest.raises(
        UserError, match=r"train_policy\.py was edited while this run was at work: give the same command"
    ):
        bench.go()
    assert bench.ran() == ["prepare", "spare"]
    bench.forget_code()
    assert bench.go() == ["train_policy", "evaluate"]


def test_from_run_says_where_what_a_stage_reads_has_changed(bench, capsys, monkeypatch):
    """An options class that names a file, as that of `prepare` does."""
    data = bench.folder / "mine.jsonl"
    data.write_text("one")
    monkeypatch.setattr(type(bench.config_of().prepare), "files", lambda self: [data], raising=False)
    bench.go()
    first = bench.outcome.run_id
    assert bench.go(from_run=first) == []
    assert "taken as it is" not in capsys.readouterr().err
    remark = "prepare: taken as it is, though what it reads changed since: `--force prepare` makes it again"
    for change in (lambda: data.write_text("two"), data.unlink):
        change()
        assert bench.go(from_run=first) == []
        assert remark in capsys.readouterr().err


def test_an_earlier_run_of_another_preset_is_refused(bench):
    bench.go()
    other = bench.config_of().model_copy(update={"preset": "other"})
    with pytest.raises(UserError, match="that run is of preset toy, not of other; leave the preset out"):
        run_method(bench.method, other, Control(from_run="latest"), bench.package, Direct())
