"""Where things stand in a picture, and what a run says of itself."""

from itertools import pairwise

import pytest

from flows.notes import comparison_note, duration, run_note, stage_note
from flows.page.charts import POINTS, Axis, scatter, spread, thinned
from flows.page.picture import ROW, Arrow, allotted, picture


def test_an_axis_maps_numbers_and_has_round_ticks():
    axis = Axis(0, 1, 60, 560)
    assert axis(0.5) == 310
    assert axis.ticks(5) == [(60, 0), (160, 0.2), (260, 0.4), (360, 0.6), (460, 0.8), (560, 1.0)]
    assert Axis(3, 3, 0, 10)(3) == 5
    assert [number for _, number in Axis(-0.1, 0.5, 0, 10).ticks(6)] == pytest.approx(
        [-0.1, 0, 0.1, 0.2, 0.3, 0.4, 0.5]
    )


def test_a_long_curve_is_drawn_by_means_of_as_many_points_each():
    kept, each = thinned([(step, step % 2) for step in range(4 * POINTS)])
    assert (len(kept), each) == (POINTS, 4)
    assert kept[0] == (1.5, 0.5)


def test_names_beside_a_chart_do_not_cover_each_other():
    assert spread([10, 11, 50], 14, 10, 100) == [10, 24, 50]
    assert spread([90, 95, 99], 10, 0, 100) == [80, 90, 100]
    points = [{"name": str(n), "cost": 1.0, "mean": 0.5, "low": 0.4, "high": 0.6} for n in range(12)]
    labels = sorted(mark["label"] for mark in scatter(points, "seconds")["marks"])
    assert min(b - a for a, b in pairwise(labels)) >= 14


def test_lanes_that_meet_lie_apart_and_others_share_a_place():
    # a (rows 0 to 3) meets both others; b (0 to 1) and c (2 to 3) never meet.
    lanes = allotted({"a": (0, 3), "b": (0, 1), "c": (2, 3)})
    assert lanes == {"b": 0, "c": 0, "a": 1}


def test_an_arrow_ends_at_each_stage_that_read_and_a_users_checkpoint_stands_on_top():
    stages = [{"name": name, "seconds": 1.0, "reused": False, "about": ""} for name in ("sample", "score")]
    drawn = picture(stages, [Arrow("org/model", "sample", "policy"), Arrow("sample", "score", "samples"),
                             Arrow("sample", "score", "more"), Arrow("gone", "elsewhere", "x")])  # fmt: skip
    assert [row["name"] for row in drawn["rows"]] == ["org/model", "gone", "sample", "score"]
    ends = {line["source"]: line["ends"] for line in drawn["lines"]}
    assert ends.keys() == {"org/model", "sample"}
    assert [(end["reader"], end["what"]) for end in ends["sample"]] == [("score", "samples, more")]
    assert drawn["rows"][3]["y"] - drawn["rows"][2]["y"] == ROW


@pytest.mark.parametrize(("seconds", "text"), [(0.24, "0.2 s"), (12.4, "12 s"), (95.2, "1 min 35 s")])
def test_durations_are_read_easily(seconds, text):
    assert duration(seconds) == text


def test_a_stage_says_what_it_was_and_what_came_out_and_leaves_out_what_it_does_not_know():
    said = stage_note("sample", "sample", "The policy completes.", {"completions": 1200, "right_share": 0.25}, 3)
    assert said == "Stage sample: The policy completes. 1,200 completions, 25.0 % right. It took 3.0 s."
    said = stage_note(
        "evaluate-after", "evaluate", "Accuracy.", {"accuracy/test": 0.5, "low/test": 0.4, "high/test": 0.6}, 3
    )
    assert "test 50.0 % [40.0, 60.0]." in said
    assert stage_note("mine", "mine", "Mine.", {"x": 1.0}, 3) == "Stage mine: Mine. It took 3.0 s."


def test_a_run_and_a_comparison_say_what_came_out():
    rate = {"rate": 0.5, "low": 0.4, "high": 0.6}
    summary = {"preset": "tiny", "recipe": "rlmec", "seed": 0, "seconds": 61.0, "warnings": ["w"],
               "accuracy": {"test": {"before": rate, "after": {**rate, "rate": 0.55}}},
               "stages": [{"reused": True}, {"reused": False}]}  # fmt: skip
    said = run_note(summary)
    assert said.startswith(
        "Preset tiny, recipe rlmec, seed 0. Accuracy with 95 % intervals: test 50.0 % [40.0, 60.0] before"
    )
    assert "(+5.0 points). 2 stages, 1 of them from the store, in 1 min 1 s. Warning: w." in said
    result = {
        "preset": "tiny",
        "seeds": [0, 1],
        "recipes": {"sft": {"test": {"mean": 0.5}}, "mine": {"test": {"mean": 0.6}}},
    }
    assert "Mean accuracy on test: mine 60.0 %, sft 50.0 %." in comparison_note(result)
