"""`rlmec show` on a small store of its own, whose tables are written by hand: no model is run."""

import json
import re
import shutil

import polars as pl
import pytest

from flows import cli
from flows.checkpoint import PLAIN
from flows.home import quieten
from flows.show import POSITIVE, visible
from flows.store import Store, open_store
from tasks.prompts import encode, solution_completion
from tasks.records import read_table, table, write_table
from tasks.token_texts import token_texts

REFERENCE = "Tom has 12+5=17 apples.\nThe answer is 17."
WRONG = "Tom has 12+5=18 apples.\nThe answer is 18."
HOSTILE = "Tom has \x1b[2J[red]12[/red] \u202eapples :apple:\x07.\nThe answer is 1."
SAMPLES = {"aa11": (WRONG, False), "aa22": (HOSTILE, False), "bb33": (REFERENCE, True)}
ESCAPE = re.compile("\x1b\\[[0-9;]*m")  # what colours are made of


def rewards_of(tokenizer, text: str, is_right: bool) -> tuple[list[float], list[float]]:
    """Rewards and probabilities: each digit 8 is punished, and in a right sample each token is rewarded."""
    ids = solution_completion(tokenizer, text)
    probabilities = [0.02 if tokenizer.decode([token]) == "8" else 0.99 for token in ids]
    return [0.49 if is_right else min(max(p - 0.5, -0.1), 0.0) for p in probabilities], probabilities


def write_tables(out, tokenizer) -> None:
    """The tables of every stage, each under its own name."""
    problem = {"problem_id": "p", "question": "Tom has 12 apples. He buys 5 more. How many?", "solution": REFERENCE,
               "answer": "17", "options": None, "source": "toy", "split": "train"}  # fmt: skip
    write_table(table("problems", [problem]), "problems", out / "train.parquet")
    samples, scores = [], []
    for sample_id, (text, is_right) in SAMPLES.items():
        rewards, probabilities = rewards_of(tokenizer, text, is_right)
        ids = solution_completion(tokenizer, text)
        samples.append({"sample_id": sample_id, "problem_id": "p", "prompt_ids": [1], "completion_ids": ids,
                        "completion": text, "finish_reason": "stop", "extracted_answer": text[-3:-1],
                        "is_right": is_right})  # fmt: skip
        scores.append({"sample_id": sample_id, "credit_source": "grm", "probabilities": probabilities,
                       "rewards": rewards, "reference_logprobs": [-0.1] * len(ids)})  # fmt: skip
    write_table(table("samples", samples), "samples", out / "samples.parquet")
    write_table(table("token_rewards", scores), "token_rewards", out / "token_rewards.parquet")
    rewrites = [
        {"sample_id": sample_id, "rewriter": "grm", "located_step": 1, "rewrite": text, "extracted_answer": "17",
         "rewrite_ids": solution_completion(tokenizer, text), "is_right": True, "edit_distance": edits,
         "edit_fraction": 0.1, "attempts": 1, "reject_reason": reason}
        for sample_id, text, edits, reason in [("aa11", REFERENCE, 2, None), ("aa22", HOSTILE, 0, "wrong answer")]
    ]  # fmt: skip
    write_table(table("rewrites", rewrites), "rewrites", out / "rewrites.parquet")


def tables_of_sample(factory, tables):
    """A folder with the samples alone."""
    folder = factory.mktemp("outside")
    shutil.copy(tables / "samples.parquet", folder)
    return folder


def pairs_of(tables):
    """The sample with an accepted rewrite, as half of a pair whose tokens have credit."""
    scored = read_table("token_rewards", tables / "token_rewards.parquet").filter(sample_id="aa11")
    return scored.select("sample_id", sample_logprobs="reference_logprobs", rewrite_logprobs="reference_logprobs",
                         sample_rewards="rewards", rewrite_rewards="rewards")  # fmt: skip


def pipeline(store: Store, recipe: str, stages: dict[str, str]) -> str:
    """A finished pipeline that links these stages."""
    tags = {"rlmec.kind": "pipeline", "rlmec.recipe": recipe}
    with store.running(f"toy-{recipe}-0", tags | {f"rlmec.stage.{name}": run for name, run in stages.items()}) as run:
        return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory, empty_database, tokenizer, policy_folder):
    """The ids of two pipelines in a store: an older one without token rewards, and one with everything."""
    folder = tmp_path_factory.mktemp("show")
    shutil.copy(empty_database, folder / "mlflow.db")
    tables = tmp_path_factory.mktemp("tables")
    write_tables(tables, tokenizer)
    outputs = {"prepare": "train", "sample": "samples", "rewrite": "rewrites", "score": "token_rewards"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RLMEC_HOME", str(folder))
        quieten()
        store, made = open_store(), {}
        for stage in ("warm_up", *outputs):
            tags = {"rlmec.kind": "stage", "rlmec.stage": stage, "rlmec.key": stage}
            run = store.start(stage, tags | {"rlmec.input.policy": made.get("warm_up", "")})
            out = tmp_path_factory.mktemp(stage)
            if stage == "warm_up":
                shutil.copytree(policy_folder, out / "model")
            else:
                shutil.copy(tables / f"{outputs[stage]}.parquet", out)
            made[stage] = store.commit(run, out, 1.0).run_id
        sft = pipeline(store, "sft", {"prepare": made["prepare"]})
        for recipe, name in (("checkpoint", policy_folder), ("plain", f"{policy_folder}{PLAIN}")):
            outside = {"rlmec.stage": "sample", "rlmec.key": "x", "rlmec.input.policy": f"external:{name}"}
            run = store.commit(store.start("sample", outside), tables_of_sample(tmp_path_factory, tables), 1.0).run_id
            pipeline(store, recipe, made | {"sample": run})
        tags = {"rlmec.kind": "stage", "rlmec.stage": "pair", "rlmec.key": "pair"}
        run, out = store.start("pair", tags), tmp_path_factory.mktemp("pair")
        store.params(run.info.run_id, {"credit": "critical", "settings": {}})
        write_table(pairs_of(tables), "pairs", out / "pairs.parquet")
        paired = {name: made[name] for name in ("prepare", "warm_up", "sample", "rewrite")}
        pipeline(store, "cdpo", paired | {"pair": store.commit(run, out, 1.0).run_id})
        yield {"sft": sft, "rlmec": pipeline(store, "rlmec", made), "folder": folder}


@pytest.fixture
def show(runs, monkeypatch, capsys):
    """`rlmec show` with these words: exit code, standard output, standard error."""
    monkeypatch.setenv("RLMEC_HOME", str(runs["folder"]))
    monkeypatch.delenv("FORCE_COLOR", raising=False)

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(["show", *words])
        return code, *capsys.readouterr()

    return call


def test_the_list_has_the_most_punished_first_and_its_row_numbers_do_not_depend_on_filters(show):
    code, output, _ = show("latest")
    assert code == 0
    rows = [line.split() for line in output.splitlines() if "Tom has" in line]
    assert [row[:4] for row in rows] == [
        ["1", "aa11", "wrong", "-0.100"],
        ["2", "aa22", "wrong", "0"],
        ["3", "bb33", "right", "+0.490"],
    ]
    assert (rows[0][4:6], rows[1][5:7], rows[2][4:6]) == (["2", "accepted"], ["wrong", "answer"], ["–", "–"])
    assert [line.split()[0] for line in show("latest", "--right")[1].splitlines() if "Tom" in line] == ["3"]
    assert "1 of 2 samples" in show("latest", "--wrong", "--limit", "1")[1]


def test_without_colour_a_pipe_still_has_marks_numbers_diff_and_script(show):
    _, output, _ = show("latest", "1")
    assert "\x1b" not in output
    lines = [" ".join(line.split()) for line in output.splitlines()]
    assert lines[0] == "Sample aa11 is wrong: it states 18; the answer is 17"
    assert "Tom has 12+5=1‹8› apples." in lines
    assert "Tom has 12+5=1[-8-]{+7+} apples." in lines
    (token, _) = [line for line in lines if line.endswith("→ “7”")]  # an 8 in either line of the sample
    place = token.split()[0]
    assert token == f"{place} “8” -0.100 0.020 → “7”"
    assert f"replace {place} “8” {place} “7”" in lines


def test_colour_says_the_same_as_the_text_and_no_color_turns_it_off(show, monkeypatch):
    _, plain, _ = show("latest", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    _, coloured, _ = show("latest", "1")
    assert "\x1b[1;30;48;2;241;105;19m‹8›\x1b[0m" in coloured  # black on the strongest orange
    assert ESCAPE.sub("", coloured).split() == plain.split()
    strongest = ";".join(str(int(POSITIVE[-1][place : place + 2], 16)) for place in (1, 3, 5))
    assert f"\x1b[30;48;2;{strongest}mTom" in show("latest", "3")[1]  # 0.49 of at most 0.49
    monkeypatch.setenv("NO_COLOR", "1")
    assert ";2;" not in show("latest", "1")[1]


def test_hostile_text_is_shown_and_never_obeyed(show, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    _, output, _ = show("latest", "aa22")
    bare = ESCAPE.sub("", output)
    assert not set(bare) & set("\x1b\x07\u202e")
    for text in (r"\x1b[2J[red]12[/red]", r"\u202eapples :apple:\x07."):
        assert text in bare
    assert "rejected: wrong answer" in bare


def test_what_is_not_printable_is_an_escape():
    assert visible("a\tb\n\u200f\ud800é א") == r"a\tb\n\u200f\ud800é א"
    assert visible("a\nb", "\n") == "a\nb"


def test_the_texts_of_tokens_add_up_and_a_character_of_several_tokens_stands_with_the_last(tokenizer):
    text = "Tom × 12\ufffd é."
    found = token_texts(tokenizer.backend_tokenizer, encode(tokenizer, text))
    assert "".join(found) == text
    assert "×" in found  # of two bytes, and this tokenizer has none but bytes for it
    assert token_texts(tokenizer.backend_tokenizer, encode(tokenizer, "×")[:1]) == ["\ufffd"]


def test_json_has_every_number_and_nothing_else_on_standard_output(show, tokenizer):
    _, output, _ = show("latest", "aa1", "--json")
    found = json.loads(output)
    rewards, probabilities = rewards_of(tokenizer, WRONG, False)
    assert [token["reward"] for token in found["tokens"]] == pytest.approx(rewards, abs=1e-6)
    assert [token["probability"] for token in found["tokens"]] == pytest.approx(probabilities, abs=1e-6)
    assert "".join(token["text"] for token in found["tokens"]) == WRONG + "<eos>"
    place = len(encode(tokenizer, "Tom has 12+5=1"))
    assert found["edits"][0] == {"kind": "replace", "source": place, "target": place,
                                 "sample_token": "8", "rewrite_token": "7"}  # fmt: skip
    assert (found["row"], found["recipe"], found["rewrite"]["reject_reason"]) == (1, "rlmec", None)
    listed = json.loads(show("latest", "--json", "--limit", "2")[1])
    assert [row["sample_id"] for row in listed["samples"]] == ["aa11", "aa22"]


@pytest.mark.parametrize("run", ["toy-checkpoint-0", "toy-plain-0"])
def test_a_run_from_a_checkpoint_of_the_users_reads_its_tokenizer_there(show, run):
    """Also where it was asked in plain text, without its chat template."""
    assert show(run, "1")[1].splitlines()[3:] == show("latest", "1")[1].splitlines()[3:]


def test_the_credit_of_pairs_is_shown_for_the_samples_that_have_a_rewrite(show):
    """Recipes cdpo, tgdpo and t-reg have no stage `score`."""
    assert "1 of 1 samples" in show("toy-cdpo-0")[1]
    paired, scored = (show(run, "1")[1].partition("Edit script") for run in ("toy-cdpo-0", "latest"))
    assert "credit source critical" in paired[0]
    assert paired[0].splitlines()[3:] == scored[0].splitlines()[3:]
    assert ("p_GRM" in paired[2], "p_GRM" in scored[2]) == (False, True)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nope"], "rlmec: no pipeline run is called 'nope' in "),
        (["latest", "aa"], "rlmec: 'aa' means 2 samples: give one of the ids aa11, aa22"),
        (["latest", "zz"], "rlmec: no sample is called 'zz': `rlmec show RUN` lists them, rows 1 to 3"),
        (["latest", "4"], "rlmec: no sample is called '4'"),
        (["toy-sft-0"], "rlmec: run toy-sft-0 (recipe sft) has no token rewards: its stages are prepare, and"),
    ],
)
def test_a_users_mistake_ends_with_2_and_one_line(show, words, line):
    code, output, errors = show(*words)
    assert (code, output) == (2, "")
    assert errors.startswith(line)
    assert errors.count("\n") == 1


def test_a_beginning_that_two_runs_share_is_ambiguous(show, runs, monkeypatch):
    monkeypatch.setattr(Store, "search", lambda *_: iter([Named(runs["sft"], "a"), Named(runs["sft"][:4], "b")]))
    code, _, errors = show(runs["sft"][:3])
    assert (code, "means 2 pipeline runs" in errors) == (2, True)


class Named:
    """A run that has an id and a name alone."""

    def __init__(self, run_id: str, run_name: str) -> None:
        self.info = self
        self.run_id, self.run_name = run_id, run_name


def test_an_altered_table_is_named(show, runs):
    path = next(runs["folder"].rglob("token_rewards.parquet"))
    kept = path.read_bytes()
    pl.DataFrame({"x": [1]}).write_parquet(path)
    code, _, errors = show("latest")
    path.write_bytes(kept)
    assert (code, errors.count("\n")) == (2, 1)
    assert "token_rewards.parquet was altered" in errors
