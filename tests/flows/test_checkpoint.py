"""A checkpoint of the user's is asked through its chat template, or in plain text from a copy without it."""

import shutil

import pytest

from flows.artifacts import put
from flows.checkpoint import checkpoint
from flows.control import Trace, source_of
from flows.digests import content_digest
from flows.store import open_store
from models import policy
from tasks.errors import UserError
from tasks.prompts import solve_prompt

CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<me>\n{% endif %}"


@pytest.fixture
def with_template(bench, policy_folder, tmp_path):
    model, tokenizer = policy.load(policy_folder)
    tokenizer.chat_template = CHAT
    policy.save(model, tokenizer, tmp_path / "chat")
    return tmp_path / "chat"


def asked(output):
    tokenizer = policy.load_tokenizer(output.path)
    return tokenizer.decode(solve_prompt(tokenizer, "How many?", None))


def test_a_chat_template_is_used_unless_plain_text_is_asked_for(with_template):
    store = open_store()
    chat, plain = (checkpoint(store, str(with_template), chosen) for chosen in (True, False))
    assert asked(chat).startswith("<user>Question: How many?\nGive a solution")
    assert asked(chat).endswith("<me>\n")
    assert asked(plain) == "Question: How many?\nSolution:\n"
    assert chat.digest == content_digest(with_template) != plain.digest
    assert plain.digest == checkpoint(store, str(with_template), False).digest
    assert (plain.path / "model.safetensors").is_symlink()


def test_a_plain_copy_of_a_registered_model_still_says_which_run_trained_it(bench, with_template, tmp_path):
    """Or `rlmec prune` would not know that the run is needed."""
    from flows.registry import register_policy

    store = open_store()
    run = store.start("train_policy", {"rlmec.kind": "stage", "rlmec.stage": "train_policy", "rlmec.key": "k"})
    shutil.copytree(with_template, tmp_path / "out" / "model")
    trained = store.commit(run, tmp_path / "out", seconds=1.0)
    register_policy(store, trained, {"preset": "toy", "recipe": "rlmec", "seed": 0, "accuracy": {}})
    plain = checkpoint(store, "models:/rlmec-toy@candidate", chat_template=False)
    assert asked(plain) == "Question: How many?\nSolution:\n"
    assert source_of(plain) == trained.run_id


def test_an_earlier_run_in_plain_text_had_the_same_checkpoint_as_one_that_is_planned(bench, with_template):
    """Or `--from-run` would take nothing of it."""
    for chosen in (True, False):
        planned = Trace(0).external(str(with_template), chosen)
        assert source_of(planned) == source_of(checkpoint(open_store(), str(with_template), chosen))


def test_without_a_template_there_is_nothing_to_leave_out(bench, policy_folder):
    store = open_store()
    assert checkpoint(store, str(policy_folder), False) == checkpoint(store, str(policy_folder), True)


def test_a_folder_without_safetensors_is_refused_before_anything_reads_it(bench, tmp_path):
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UserError, match=r"pickled' has no \.safetensors file; pickled weights are not read"):
        checkpoint(open_store(), str(tmp_path / "pickled"))


def test_of_two_processes_that_make_the_same_copy_the_second_takes_the_firsts(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "made by").write_text(name)
        put(tmp_path / name, tmp_path / "place")
    assert [path.name for path in tmp_path.iterdir()] == ["place"]
    assert (tmp_path / "place" / "made by").read_text() == "first"
