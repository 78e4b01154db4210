"""Presets, recipes and settings become one checked configuration, or one line that says what is wrong."""

import pytest

from flows.config import RunConfig, load_config
from flows.listing import lines
from flows.tables import names, parsed
from tasks.errors import UserError


@pytest.mark.parametrize("preset", names("presets"))
@pytest.mark.parametrize("recipe", names("recipes"))
def test_every_preset_is_valid_with_every_recipe(preset, recipe):
    config = load_config(preset, recipe, sets=["policy.checkpoint=./mine"] if preset.startswith("paper-") else [])
    assert (config.preset, config.recipe.name) == (preset, recipe)
    assert config.recipe.description
    assert list(config.train_policy.imitate) == config.recipe.options["train_policy"]["imitate"]
    assert config.train_policy.objectives.keys() == config.recipe.options["train_policy"]["objectives"].keys()


def test_a_deployments_parameter_names_a_preset_and_a_recipe_and_holds_what_differs():
    given = {"preset": "smoke", "recipe": {"name": "sft"}, "seed": 3, "warm_up": {"updates": 2}}
    assert RunConfig.model_validate(given) == load_config("smoke", "sft", 3, ["warm_up.updates=2"])
    assert RunConfig.model_validate({}) == load_config()
    with pytest.raises(UserError, match="no preset 'smok': did you mean 'smoke'"):
        RunConfig.model_validate({"preset": "smok"})


def test_a_configuration_with_its_recipes_options_is_taken_as_it_is():
    """As a run's config.json holds it: the preset is not read again."""
    config = load_config("smoke", "sft", sets=["warm_up.updates=2"])
    assert RunConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize("recipe", ["grpo", "tempo"])
def test_credit_that_compares_a_problems_samples_needs_several(recipe):
    with pytest.raises(UserError, match="compares the samples of a problem: set sample.samples_per_problem to 2 or"):
        load_config("smoke", recipe, sets=["sample.samples_per_problem=1"])
    assert load_config("smoke", "sft", sets=["sample.samples_per_problem=1"])


def test_the_papers_presets_ask_for_a_checkpoint():
    with pytest.raises(UserError, match="policy: name the checkpoint to start from: --set policy.checkpoint="):
        load_config("paper-math")


def test_the_recipe_comes_after_the_preset_and_settings_come_last(tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text('description = "mine"\n[train_policy]\nedited_weight = 0.2\nkept_weight = 0.1\n')
    config = load_config("smoke", str(recipe), seed=3, sets=["train_policy.edited_weight=0.4", "sample.top_p=1.0"])
    assert (config.recipe.name, config.seed) == ("mine", 3)
    found = config.train_policy
    assert (found.edited_weight, found.kept_weight, config.sample.top_p) == (0.4, 0.1, 1.0)


def test_an_objectives_setting_is_set_like_any_other():
    config = load_config("smoke", sets=["train_policy.objectives.policy_gradient.clip=0.1"])
    assert config.train_policy.objectives["policy_gradient"].clip == 0.1
    assert config.train_policy.objectives["policy_gradient"].surrogate == "zero-outside-clip"  # the recipe's


def test_a_runs_configuration_is_a_base_and_another_recipe_replaces_the_first():
    first = load_config("smoke", "sft", seed=4, sets=["train_policy.batch_size=7"])
    base = first.model_dump(mode="json")
    assert load_config(base=base) == first
    again = load_config(base=base, recipe="rlmec")
    assert (again.recipe.name, again.seed, again.train_policy.batch_size) == ("rlmec", 4, 7)
    assert set(again.train_policy.objectives) == {"policy_gradient", "weighted_nll"}  # sft had the second alone


@pytest.mark.parametrize(
    ("first", "updates"), [([], 300), (["upstream.credit_model.updates=7"], 7)], ids=["inherited", "its own"]
)
def test_a_model_of_an_earlier_run_is_trained_as_the_policy_now_is_but_for_what_is_its_own(first, updates):
    """config.json says of a model what it took from train_policy, too."""
    then = ["train_policy.updates=300", "train_policy.optimisation.learning_rate=1e-3"]
    base = load_config("smoke", "rto", sets=first).model_dump(mode="json")
    again = load_config(base=base, sets=then)
    assert again == load_config("smoke", "rto", sets=[*first, *then])
    model = again.upstream["credit_model"]
    assert (model.updates, model.optimisation.learning_rate) == (updates, 1e-3)
    assert load_config(base=base) == load_config("smoke", "rto", sets=first)


@pytest.mark.parametrize("recipe", names("recipes"))
@pytest.mark.parametrize("before", ["rlmec", "rto", "dcpo", "ppo-instance"])
def test_any_recipe_may_replace_that_of_a_run_with_its_credit_sources_settings(before, recipe):
    """A run's config.json holds its credit source's settings whole, and another source does not take them."""
    base = load_config("smoke", before).model_dump(mode="json")
    assert load_config(base=base, recipe=recipe) == load_config("smoke", recipe)


def test_a_recipe_with_the_same_credit_source_keeps_what_was_set_for_it():
    base = load_config("smoke", "rlmec", sets=["score.settings.beta=0.4"]).model_dump(mode="json")
    assert load_config(base=base, recipe="rlmec-paper").score.settings["beta"] == 0.4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "tny"}, "no preset 'tny': did you mean 'tiny'?"),
        ({"preset": "smoke", "recipe": "rlmce"}, "no recipe 'rlmce': did you mean 'rlmec'?"),
        ({"preset": "absent.toml"}, "absent.toml: no such file"),
        ({"preset": "smoke", "sets": ["smaple.top_p=1"]}, "smaple: did you mean 'sample'?"),
        ({"preset": "smoke", "sets": ["sample.topp=1"]}, "option sample.topp: did you mean 'top_p'?"),
        ({"preset": "smoke", "sets": ["warm_up.optimisation.rate=1"]}, "unknown option warm_up.optimisation"),
        ({"preset": "smoke", "sets": ["sample.top_p=high"]}, "sample.top_p: input should be a valid number"),
        ({"preset": "smoke", "sets": ["sample.top_p=2"]}, "sample.top_p: input should be less than"),
        ({"preset": "smoke", "sets": ["sample.top_p"]}, "--set sample.top_p: write it as section.key=value"),
        ({"preset": "smoke", "sets": ["seed.x=1"]}, "seed"),
        ({"preset": "smoke", "sets": ["recipe=sft"]}, "--recipe"),
        ({"preset": "smoke", "sets": ["score.credit=grn"]}, "there is no credit source 'grn': did you mean 'grm'?"),
        ({"preset": "smoke", "sets": ["score.settings.bta=1"]}, "bta: there is no such setting; did you mean 'beta'?"),
        (
            {"preset": "smoke", "sets": ["train_policy.objectives.pairwize={}"]},
            "there is no objective 'pairwize': did you mean 'pairwise'?",
        ),
        (
            {"preset": "smoke", "sets": ["train_policy.objectives.policy_gradient.eps=1"]},
            "policy_gradient.eps: there is no such setting; there are: ",
        ),
        (
            {"preset": "smoke", "sets": ["train_policy.objectives.policy_gradient.clip=2"]},
            "clip must lie between 0 and 1",
        ),
        ({"preset": "smoke", "sets": ["train_policy.imitate=[]"]}, "imitate names nothing to imitate"),
        (
            {"preset": "smoke", "sets": ['train_policy.imitate=["right","wrong"]']},
            'imitating wrong samples beside others needs prompt = "verdict"',
        ),
        (
            {"preset": "smoke", "sets": ["score.credit=rto"]},
            "rto reads a model 'credit_model': say how it is trained, as a recipe's [upstream.credit_model]",
        ),
        (
            {"preset": "smoke", "recipe": "prime", "sets": ["sample.samples_per_problem=1"]},
            "credit source prime compares the samples of a problem",
        ),
        ({"preset": "smoke", "sets": ["train_policy.rejected_weight=-1", 'train_policy.imitate=["right"]']},
         "rejected_weight and rewarded are about samples whose rewrites are imitated"),
        ({"preset": "smoke", "recipe": "dpo", "sets": ["pair.credit=group"]},
         "pair: credit source group is about a problem's samples and says nothing of their rewrites"),
        ({"preset": "smoke", "recipe": "dpo", "sets": ["pair.credit=edits"]}, "pair: credit source edits is about"),
        ({"preset": "smoke", "sets": ["train_policy.prompt=verdict"]}, "goes with imitation alone"),
        ({"preset": "smoke", "seed": -1}, "seed: input should be greater than or equal to 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_that_names_it(arguments, message):
    with pytest.raises(UserError) as caught:
        load_config(**arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_preset_that_is_no_toml_is_named(tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text("a = = 1")
    with pytest.raises(UserError, match=r"broken\.toml: cannot be read as TOML"):
        load_config(str(path))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.5", 0.5),
        ("true", True),
        ("[1, 2]", [1, 2]),
        ('"3"', "3"),
        ("gsm8k", "gsm8k"),
        ("./a b", "./a b"),
    ],
)
def test_a_setting_is_toml_or_else_a_string(text, value):
    assert parsed(text) == value


@pytest.mark.parametrize(
    "kind", ["presets", "recipes", "stages", "datasets", "teachers", "samplers", "credits", "objectives"]
)
def test_everything_listed_has_a_description(kind):
    found = lines(kind)
    assert found
    assert all(len(line.split(maxsplit=1)) == 2 for line in found)
