"""`rlmec run --dry-run`: what it counts, and what it refuses, without training anything."""

import json
import shutil

import pytest

from flows.config import load_config
from flows.control import Control
from flows.plan import WRONG_SHARE, Sizes, estimate, show_plan, training_memory
from models import policy, tiny
from models.size import forward_flops, parameter_count, training_flops
from tasks.errors import UserError

SIZES = Sizes(problems=100, benchmark_problems=40, prompt=30, solution=20, parameters=1000)


def test_a_stages_work_is_rows_times_tokens_times_parameters():
    config = load_config(
        "tiny", sets=["sample.samples_per_problem=2", "train_policy.updates=10", "train_policy.wrong_share=0.7"]
    )
    sampled = estimate("sample", config, SIZES)
    # 100 problems × 2 completions × (30 + 20) tokens, and 2 operations for each parameter and token
    assert (sampled.tokens, sampled.flops) == (10_000, 2 * 1000 * 10_000)
    rewritten = estimate("rewrite", config, SIZES)
    # half of the 200 samples; prompt, reference, sample and rewrite; once to locate and once to rewrite
    assert rewritten.tokens == 200 * WRONG_SHARE * 2 * (30 + 3 * 20)
    trained = estimate("train_policy", config, SIZES)
    # 10 updates of 32 samples, of which 0.7 are wrong and bring a rewrite; three times the work of a forward pass
    assert trained.tokens == pytest.approx(10 * 32 * 50 * 1.7)
    assert trained.flops == pytest.approx(6 * 1000 * trained.tokens)
    assert estimate("evaluate-after", config, SIZES).tokens == 40 * 50


def test_a_model_that_a_recipe_trains_for_its_credit_is_planned_by_its_own_options():
    config = load_config("tiny", "cdpo", sets=["train_policy.updates=10", "upstream.right_model.updates=4"])
    rows = [estimate(f"train_policy{name}", config, SIZES).rows for name in ("", "-right_model", "-wrong_model")]
    assert rows == ["10 updates of 32", "4 updates of 32", "10 updates of 32"]


def test_memory_is_that_of_the_models_that_the_recipe_trains():
    lora = ["train_policy.lora={rank = 2}"]
    # 4 bytes a parameter beside adapters, 16 with gradients and optimiser; grpo trains no reward model.
    assert training_memory(load_config("tiny", "grpo", sets=lora), SIZES) == 4 * SIZES.parameters
    assert training_memory(load_config("tiny", "rlmec", sets=lora), SIZES) == 16 * SIZES.parameters


def test_epochs_become_updates_where_no_updates_are_set():
    sets = ["train_policy.epochs=3", "train_policy.batch_size=10"]
    config = load_config("tiny", sets=[*sets, "sample.problems=50", "sample.samples_per_problem=4"])
    options = config.train_policy.model_copy(update={"updates": None})
    trained = estimate("train_policy", config.model_copy(update={"train_policy": options}), SIZES)
    assert trained.rows == "60 updates of 10"  # 3 · 50 · 4 / 10


def test_training_is_three_forward_passes_and_tied_weights_count_once(model):
    assert training_flops(7, 11) == 3 * forward_flops(7, 11) == 6 * 7 * 11
    assert parameter_count(model.config) == sum(weights.numel() for weights in model.parameters())


@pytest.fixture
def plan(tmp_path, monkeypatch, empty_database):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "mlflow.db").write_bytes(empty_database.read_bytes())
    monkeypatch.setenv("RLMEC_HOME", str(tmp_path / "home"))

    def show(*sets):
        lines = [{"question": f"{n}+1?", "solution": f"{n}+1={n + 1}", "answer": n + 1} for n in range(60)]
        (tmp_path / "mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        data = [f"prepare.dataset={tmp_path}/mine.jsonl", 'prepare.benchmarks=["test"]']
        return show_plan(load_config("smoke", sets=[*data, *sets]), Control())

    return show


def test_a_plan_reads_the_data_and_the_checkpoint_and_leaves_nothing_in_the_store(plan, policy_folder, model, capsys):
    found = plan(f"policy.checkpoint={policy_folder}")
    assert found["parameters"] == sum(weights.numel() for weights in model.parameters())
    assert list(found["stages"])[:2] == ["prepare", "evaluate-before"]  # no warm-up
    assert found["flops"] == sum(stage["flops"] for stage in found["stages"].values())
    said = capsys.readouterr().err
    assert "training and" in said
    assert "TFLOP/s" in said
    from flows.store import open_store

    assert list(open_store().search("")) == []


def test_a_registered_model_is_planned_like_a_folder(plan, policy_folder, model, tmp_path):
    from flows.registry import register_policy
    from flows.store import open_store

    store = open_store()
    run = store.start("train_policy", {"rlmec.kind": "stage", "rlmec.stage": "train_policy", "rlmec.key": "k"})
    shutil.copytree(policy_folder, tmp_path / "out" / "model")
    trained = store.commit(run, tmp_path / "out", seconds=1.0)
    register_policy(store, trained, {"preset": "toy", "recipe": "rlmec", "seed": 0, "accuracy": {}})
    found = plan("policy.checkpoint=models:/rlmec-toy@candidate")
    assert found["parameters"] == sum(weights.numel() for weights in model.parameters())
    with pytest.raises(UserError, match="there are: models:/rlmec-toy@candidate"):
        plan("policy.checkpoint=models:/rlmec-toy@champion")


def test_a_reward_model_with_another_tokenizer_is_refused_before_anything_runs(plan, policy_folder, model, tmp_path):
    policy.save(model, tiny.train_tokenizer(["other words"], 300), tmp_path / "other")
    with pytest.raises(UserError, match="the reward model and the policy have different tokenizers"):
        plan(f"policy.checkpoint={policy_folder}", f"reward_model.checkpoint={tmp_path}/other")


def test_a_plan_without_a_checkpoint_counts_the_model_that_the_warm_up_would_make(plan):
    assert plan("warm_up.architecture.width=48")["parameters"] < plan("warm_up.architecture.width=96")["parameters"]


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("policy.checkpoint={folder}", "has no .safetensors file"),
        ("policy.checkpoint={folder}/absent", "cannot be had"),
        ("train_policy.device=cuda:77", "device cuda:77 cannot be used"),
        ("prepare.dataset={folder}/absent.jsonl", "absent.jsonl: there is no such file"),
    ],
)
def test_what_is_not_there_is_named(plan, setting, line, model, tokenizer, tmp_path):
    folder = tmp_path / "bare"
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    with pytest.raises(UserError, match=line):
        plan(setting.format(folder=folder))


def test_the_papers_presets_are_planned_on_the_published_files(real_data, tmp_path, monkeypatch, policy_folder):
    monkeypatch.setenv("RLMEC_HOME", str(tmp_path))
    sets = [f"policy.checkpoint={policy_folder}", f"prepare.path={real_data}"]
    plan = show_plan(load_config("paper-qa", sets=sets), Control())
    # ECQA 7598 and QASC 7245, without those that a benchmark asks too; 5 completions of each
    completions = int(plan["stages"]["sample"]["rows"].split()[0].replace(",", ""))
    assert 0.99 * 5 * (7598 + 7245) < completions <= 5 * (7598 + 7245)
    with pytest.raises(UserError, match="math/train.jsonl: there is no such file"):  # MATH's test split alone is there
        show_plan(load_config("paper-math", sets=sets), Control())
    gsm8k_alone = [*sets, 'prepare.dataset=["gsm8k"]']
    assert show_plan(load_config("paper-math", sets=gsm8k_alone), Control())["flops"] > 0


def test_a_teacher_without_its_key_is_named_before_anything_runs(plan, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UserError, match="the environment variable OPENAI_API_KEY is not set"):
        plan("teach.teacher=server", "teach.settings.model=m")
