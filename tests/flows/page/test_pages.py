"""What the pages of a run and of a comparison hold, without a browser."""

import json
import re
from xml.etree import ElementTree

import polars as pl
import pytest

from flows.page import environment, visible
from flows.page.publish import draw_run, publish_run
from flows.page.run import run_files
from tasks.page_samples import LONGEST


def test_a_page_of_500_rows_is_below_3_megabytes_and_names_how_many_there_are(run, data_of, harm):
    assert len(run.page.encode()) < 3_000_000
    rows = data_of(run.page)["rows"]
    assert len(rows) == 500
    assert sum("after" in row for row in rows) == harm.asked  # fewer than the 120 that there is room for
    assert "500 of 600 samples and benchmark problems" in run.page  # 560 samples, 40 problems


def test_the_chosen_samples_are_right_and_wrong_with_and_without_a_rewrite_and_the_same_every_time(run, store, data_of):
    again = run_files(store, run.id, run.summary, run.stages)
    assert again == run.files
    groups = [row["group"] for row in data_of(run.page)["rows"] if "after" not in row]
    # 460 of 560: all 140 with a rewrite (0, 4, 8, …), all 140 without (2, 6, …), and of the 280 right ones the rest.
    assert [groups.count(name) for name in ("right", "mended", "wrong")] == [180, 140, 140]


def test_a_rows_tokens_are_its_text_and_each_has_its_reward(run, data_of):
    row = next(row for row in data_of(run.page)["rows"] if row.get("tokens") and row["group"] == "mended")
    assert "".join(row["tokens"][:-1]) == row["text"]  # the last one is EOS
    assert len(row["tokens"]) == len(row["rewards"]) == len(row["probabilities"])
    assert row["rewards"][3] == -0.1
    assert row["edited"] == [3]
    assert [part[0] for part in row["rewrites"]["segments"]] == ["kept", "inserted", "kept"]


def test_texts_that_mean_harm_cannot_leave_the_data_or_the_escaping(run, harm):
    assert harm.markup not in run.page
    assert run.page.count("<script") == run.page.count("</script") == 2  # the data and the page's own
    head = run.page[: run.page.index('id="data"')]
    assert "run &lt;img src=x onerror=" in head
    assert "{{ 7*7 }}" in head  # never taken for a template
    assert visible(harm.backwards) == "⟨U+202E⟩txet neddih⟨U+200B⟩⟨U+2066⟩"


def test_only_the_pages_own_script_may_run_and_nothing_may_be_fetched(run, comparison):
    for page in (run.page, comparison.page):
        policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]
        assert "default-src 'none'" in policy
        assert "unsafe-inline" not in re.search(r"script-src ([^;]+)", policy)[1]
        assert not re.search(r"""(src|href)=["']?(https?:|//)""", page)


def test_the_arrows_of_the_picture_are_the_recorded_inputs(run):
    drawn = set(re.findall(r"<title>(\S+ → \S+) \(", run.page))
    assert {"sample → teach", "score → train_policy", "prepare → evaluate-after"} <= drawn
    assert "prepare → train_policy" not in drawn  # it read nothing from there
    # 1 + 1 + 2 + 2 + 2 + 2 + 1 + 4 + 2 inputs were recorded.
    assert len(drawn) == 17


def test_the_numbers_of_the_page_are_those_of_the_run(run, data_of):
    # 20 of 40 before and after, but other ones: the gain is 0, and every problem changed.
    assert "+0.0 points" in run.page
    assert "70.0 % <small>[59.2, 78.9]</small>" in run.page  # Wilson, 56 of 80
    assert "140 of 280 rewrites of wrong samples were accepted" in run.page
    runs = data_of(run.page)["runs"]
    assert runs["teach"] == run.stages["teach"].run_id


def test_a_run_without_samples_rewards_and_rewrites_gets_a_page_with_what_there_is(run, store, data_of):
    few = {name: run.stages[name] for name in ("prepare", "evaluate-before", "evaluate-after", "train_policy")}
    stages = [stage for stage in run.summary["stages"] if stage["name"] in few]
    page = run_files(store, run.id, {**run.summary, "stages": stages}, few)["report.html"]
    assert 'id="result"' in page
    assert 'id="rewards"' not in page
    assert {row["from"] for row in data_of(page)["rows"]} == {"test"}
    only = {"prepare": few["prepare"]}
    bare = run_files(store, run.id, {**run.summary, "accuracy": {}, "stages": stages[:1]}, only)["report.html"]
    assert 'id="pipeline"' in bare
    assert 'id="samples"' not in bare


def test_where_the_policy_learns_from_the_teachers_rewrites_these_are_shown(run, store, data_of):
    """As under recipe figa, which has no reward model."""
    few = {name: run.stages[name] for name in ("prepare", "sample", "teach", "align", "train_policy")}
    stages = [stage for stage in run.summary["stages"] if stage["name"] in few]
    page = run_files(store, run.id, {**run.summary, "accuracy": {}, "stages": stages}, few)["report.html"]
    rows = data_of(page)["rows"]
    groups = [row["group"] for row in rows]
    # 500 of 560: all 140 with a rewrite, all 140 without, and of the 280 right ones the rest.
    assert [groups.count(name) for name in ("right", "mended", "wrong")] == [220, 140, 140]
    assert all("rewrites" in row and "teacher" not in row for row in rows if row["group"] == "mended")
    assert "140 of 280 rewrites of wrong samples were accepted" in page


def test_the_credit_of_pairs_is_shown_where_no_stage_scores_all_samples(run, store, data_of, making):
    """As under recipes cdpo, tgdpo and t-reg: of 560 samples the 140 with an accepted rewrite are half of a pair."""
    credited = pl.read_parquet(store.fetch(run.stages["score"].outputs["token_rewards"])).join(
        pl.read_parquet(store.fetch(run.stages["align"].outputs["edits"])), on="sample_id", how="semi"
    )
    halves = {f"{half}_{column}": column for half in ("sample", "rewrite") for column in ("logprobs", "rewards")}
    pairs = credited.rename({"reference_logprobs": "logprobs"}).select("sample_id", **halves)
    parent, made = making("cdpo")
    made.stage("pair", {}, {"pairs": ("pairs", pairs)})
    store.params(made.runs["pair"].run_id, {"credit": "mine/critical.py", "settings": {}})
    shown = ("prepare", "sample", "teach", "train_reward_model", "rewrite")
    made.runs = {**{name: run.stages[name] for name in shown}, **made.runs}
    page = run_files(store, parent, made.summary(preset="toy", recipe="cdpo", seed=0), made.runs)["report.html"]
    data = data_of(page)
    assert "Of 560 samples 140 have them: those that are half of a pair." in " ".join(page.split())
    assert (data["credit"], data["low"]) == ("critical", -0.1)
    assert [row["group"] == "mended" for row in data["rows"]] == ["rewards" in row for row in data["rows"]]
    assert not any("probabilities" in row for row in data["rows"])
    assert "half of a pair" not in run.page


def test_the_page_knows_its_credit_source_and_draws_the_curves_of_upstream_models(
    run, store, data_of, making, bytes_tokenizer
):
    assert data_of(run.page)["credit"] == "grm"  # else no probability is called the GRM's
    parent, made = making("prime")
    made.stage("train_policy-credit_model", {}, {}, bytes_tokenizer, [3, 2, 1])
    page = run_files(store, parent, made.summary(preset="toy", recipe="prime", seed=0), made.runs)["report.html"]
    assert 'id="training"' in page
    assert "<code>train_policy-credit_model</code>" in page


def test_a_very_long_text_is_cut_and_the_page_says_by_how_much():
    from tasks.page_samples import clipped

    assert clipped("x" * (LONGEST + 7)).endswith("x … [7 more characters]")


def test_figures_are_pictures_of_their_own(run):
    assert {"figures/accuracy.svg", "figures/pipeline.svg", "figures/rewards.svg"} <= run.files.keys()
    for name, text in run.files.items():
        if name.endswith(".svg"):
            assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"


def test_the_page_lies_in_mlflow_with_tables_that_its_own_page_draws(run, store):
    draw_run(store, run.id, run.summary, run.stages)
    found = store.client.get_run(run.id)
    paths = {file.path for file in store.client.list_artifacts(run.id, "tables")}
    assert {entry["path"] for entry in json.loads(found.data.tags["mlflow.loggedArtifacts"])} == paths
    root = store.folder / "artifacts" / run.id / "artifacts"
    table = json.loads((root / "tables" / "accuracy.json").read_text())
    assert table["columns"][:2] == ["benchmark", "side"]
    assert [row[:2] for row in table["data"]] == [["test", "before"], ["test", "after"]]
    assert (root / "report.html").read_text() == run.page


def test_a_page_that_cannot_be_drawn_is_a_warning_that_names_the_error(run, store, capsys):
    path = run.stages["score"].outputs["token_rewards"].path
    whole = path.read_bytes()
    path.write_bytes(b"no table")
    try:
        publish_run(store, run.id, run.summary, run.stages)
    finally:
        path.write_bytes(whole)
    assert "Warning: the page of the run could not be made (ComputeError:" in capsys.readouterr().err


def test_a_comparisons_page_counts_what_one_recipe_solves_and_another_does_not(comparison, data_of, harm):
    data = data_of(comparison.page)
    assert data["recipes"] == ["sft", "rlmec"]
    # Under each seed sft solves the 20 even problems and rlmec the 20 odd ones.
    assert data["counts"] == {"0/test": [[0, 20], [20, 0]], "1/test": [[0, 20], [20, 0]]}
    assert f"of the {2 * harm.asked} problems" in comparison.page
    # 8 a pair and benchmark: a row serves one direction only, so 8 + 8.
    assert [sum(row["right"][place] for row in data["rows"]) for place in (0, 1)] == [8, 8]


def test_a_template_that_names_what_it_was_not_given_is_an_error():
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        environment().get_template("run.html").render()


def test_a_pipeline_leaves_its_page_and_every_run_says_what_it_was(bench, capsys):
    from flows.store import open_store

    bench.go()
    said = capsys.readouterr().err
    assert "Warning" not in said
    assert bench.artifact(bench.outcome.run_id, "report.html").read_text().startswith("<!doctype html>")
    store = open_store()
    parent = store.client.get_run(bench.outcome.run_id)
    note = parent.data.tags["mlflow.note.content"]
    # Wilson's interval of 8 of 10.
    assert note.startswith(
        "Preset toy, recipe fake, seed 0. Accuracy with 95 % intervals: test 80.0 % [49.0, 94.3] after."
    )
    assert parent.data.metrics["cost/stage_seconds"] >= 0
    stage = store.client.get_run(bench.stage("evaluate-after")["run_id"])
    assert stage.data.tags["mlflow.note.content"].startswith("Stage evaluate-after: A fake stage. test 80.0 %.")
    kind = store.client.get_experiment(store.experiment).tags["mlflow.experimentKind"]
    assert kind == "custom_model_development"  # so that MLflow shows runs, not traces


def test_the_page_of_an_earlier_run_is_drawn_again_also_where_a_stage_is_gone(bench, capsys):
    from flows.cli import main

    bench.go()
    page = bench.artifact(bench.outcome.run_id, "report.html")
    page.unlink()
    bench.artifact(bench.stage("spare")["run_id"], "copy.json").unlink()
    assert main(["report", bench.outcome.run_id[:8]]) == 0
    said = capsys.readouterr().err
    assert "spare: not on the page" in said
    assert f"Its page, for any browser: {page}" in said
    assert page.is_file()
    assert main(["report", "nonsense"]) == 2
    assert "no pipeline or round or comparison run is called 'nonsense'" in capsys.readouterr().err


def test_a_comparison_of_credit_sources_says_where_its_tables_are_and_what_came_out(bench, capsys):
    from flows.cli import main
    from flows.notes import credit_note
    from flows.store import open_store

    tags = {"rlmec.kind": "comparison", "rlmec.purpose": "credit"}
    with open_store().running("compare-credit-toy", tags):
        pass
    assert main(["report", "compare-credit-toy"]) == 2
    assert "compares credit sources, which has no page: see credit.md among its artifacts" in capsys.readouterr().err
    rows = [{"source": name, "group": group, "auc_first_error": auc}
            for name, group, auc in (("outcome", "all", None), ("dpo", "all", 0.7), ("grm", "all", 0.9),
                                     ("grm", "wrong", 0.6))]  # fmt: skip
    assert credit_note({"preset": "toy", "seeds": [0, 1], "credit": rows}) == (
        "Credit sources on preset toy, seeds 0, 1, held against the teacher's edits on samples that nothing was "
        "trained on. The first error is told from the tokens before it with an AUC of 0.900 by grm, 0.700 by dpo. The "
        "other figures are in credit.md."
    )


def test_a_run_that_did_not_end_well_has_no_page(bench, capsys):
    from flows.cli import main

    with pytest.raises(ValueError, match="thirteen"):
        bench.go(updates=13)
    from flows.store import open_store

    (failed,) = open_store().search("tags.`rlmec.kind` = 'pipeline'")
    assert main(["report", failed.info.run_id]) == 2
    assert "(FAILED) has no summary.json: only a finished run has a page" in capsys.readouterr().err
