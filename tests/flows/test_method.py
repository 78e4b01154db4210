"""The stages that a recipe runs, and what flows between them, without running any."""

import pytest

from flows.config import load_config
from flows.control import trace
from flows.listing import STAGES
from flows.method import method
from tasks.errors import UserError

LABELS = [
    "prepare", "warm_up", "evaluate-before", "sample", "teach", "train_reward_model", "rewrite", "align",
    "score", "train_policy", "evaluate-after",
]  # fmt: skip


def calls_of(recipe, *sets):
    return trace(method, load_config("smoke", recipe, sets=sets))


def sources(call):
    """Which stage each input of a call comes from."""
    return {name: output.stage for name, output in call.inputs.items()}


def test_recipe_rlmec_runs_every_stage_in_the_methods_order():
    calls = trace(method, load_config("smoke"))
    assert list(calls) == LABELS
    assert {call.stage for call in calls.values()} == set(STAGES) - {"pair", "compare_predictions", "measure_credit"}
    assert [label for label, call in calls.items() if not call.seeded] == ["prepare"]


def test_recipe_sft_skips_from_sample_to_score():
    calls = trace(method, load_config("smoke", "sft"))
    assert list(calls) == ["prepare", "warm_up", "evaluate-before", "train_policy", "evaluate-after"]
    assert set(calls["train_policy"].inputs) == {"policy", "problems"}


@pytest.mark.parametrize(
    ("recipe", "own"),
    [
        ("rft", ["sample"]),
        ("grpo", ["sample", "score"]),
        ("figa", ["sample", "teach", "align"]),  # no reward model
        ("rlmec-no-imitation", ["sample", "teach", "train_reward_model", "score"]),
        ("rlmec", ["sample", "teach", "train_reward_model", "rewrite", "align", "score"]),
        ("prime", ["sample", "score-credit_model", "train_policy-credit_model", "score"]),
        ("tgdpo", ["sample", "teach", "train_reward_model", "rewrite", "pair-credit_model", "train_policy-credit_model",
                   "pair"]),
        ("cdpo", ["sample", "teach", "train_reward_model", "rewrite", "train_policy-right_model",
                  "train_policy-wrong_model", "pair"]),
    ],
)  # fmt: skip
def test_a_recipe_runs_the_stages_whose_outputs_it_uses(recipe, own):
    assert list(calls_of(recipe)) == [
        "prepare", "warm_up", "evaluate-before", *own, "train_policy", "evaluate-after",
    ]  # fmt: skip


def test_an_upstream_dpo_model_is_the_policy_of_recipe_dpo():
    """Same options, same seed, inputs that come about in the same way: so it has the same key, and is made once."""
    own = calls_of("dpo")
    for recipe in ("rto", "tgdpo"):
        upstream = calls_of(recipe)
        for theirs, ours in (("pair-credit_model", "pair"), ("train_policy-credit_model", "train_policy")):
            assert upstream[theirs].options == own[ours].options
            assert upstream[theirs].seed == own[ours].seed
            renamed = {name: stage.removesuffix("-credit_model") for name, stage in sources(upstream[theirs]).items()}
            assert renamed == sources(own[ours])


def test_credit_reads_the_model_that_was_trained_for_it():
    assert sources(calls_of("prime")["score"])["credit_model"] == "train_policy-credit_model"
    found = sources(calls_of("cdpo")["pair"])
    assert (found["right_model"], found["wrong_model"]) == ("train_policy-right_model", "train_policy-wrong_model")


def test_an_upstream_model_is_trained_as_the_policy_but_for_what_the_recipe_says():
    changed = load_config("smoke", "prime", sets=["train_policy.updates=7", "upstream.credit_model.batch_size=4"])
    upstream, policy = changed.upstream["credit_model"], changed.train_policy
    assert (upstream.updates, upstream.batch_size, upstream.optimisation) == (7, 4, policy.optimisation)
    assert list(upstream.objectives) == ["implicit_reward"]


def test_an_upstream_model_gets_adapters_and_rewrites_where_the_policy_does():
    sets = ["train_policy.lora={rank = 2}", "train_policy.rewriter=teacher"]
    upstream = load_config("smoke", "rto", sets=sets).upstream["credit_model"]
    assert upstream.lora is not None
    assert (upstream.lora.rank, upstream.rewriter) == (2, "teacher")
    with pytest.raises(
        UserError, match=r"upstream\.credit_model\.rewriter is teacher, and train_policy's is reward_mod"
    ):
        load_config("smoke", "rto", sets=["upstream.credit_model.rewriter=teacher"])
    parts = ["execution.processes=2", "execution.sharded=true"]
    with pytest.raises(UserError, match="sharded goes without lora"):
        load_config("smoke", "rto", sets=["upstream.credit_model.lora={rank = 2}", *parts])


def test_a_runs_own_record_of_its_configuration_is_read_as_it_was():
    config = load_config("smoke", "tgdpo", sets=["train_policy.updates=7"])
    assert load_config(base=config.model_dump(mode="json")) == config


def test_credit_by_edits_makes_the_edits_first():
    calls = calls_of("rlmec-no-imitation", "score.credit=edits", "score.settings={}")
    assert sources(calls["score"])["edits"] == "align"
    assert "rewrite" in calls


def test_a_policy_trained_with_a_verdict_in_its_prompt_is_asked_for_a_right_solution():
    calls = trace(method, load_config("smoke", "coh"))
    assert (calls["evaluate-before"].options.prompt, calls["evaluate-after"].options.prompt) == ("plain", "right")


def test_options_are_tuned_on_development_problems():
    calls = trace(method, load_config("smoke", sets=["measure_on=development"]))
    assert calls["evaluate-after"].inputs["problems"].name == "development"
    assert trace(method, load_config("smoke"))["evaluate-after"].inputs["problems"].name == "benchmarks"


def test_a_checkpoint_takes_the_place_of_warm_up():
    calls = trace(method, load_config("smoke", sets=["policy.checkpoint=./my-model"]))
    assert list(calls) == [label for label in LABELS if label != "warm_up"]
    assert calls["sample"].inputs["policy"].name == "./my-model"


def test_the_reward_model_may_start_from_a_checkpoint_of_its_own():
    """Its tokenizer is then compared with the policy's."""
    calls = calls_of("rlmec", "policy.checkpoint=./mine", "reward_model.checkpoint=./larger")
    inputs = calls["train_reward_model"].inputs
    assert (inputs["policy"].name, inputs["tokenizer"].name) == ("./larger", "./mine")
    assert "tokenizer" not in calls_of("rlmec")["train_reward_model"].inputs
