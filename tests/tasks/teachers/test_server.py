"""Teachers behind an address: what they are asked, what is taken of it, what it costs and how that is kept low."""

import json
import sys
import time
from types import SimpleNamespace

import pytest

from flows.config import load_config
from flows.key import settings as key_of_settings
from tasks.errors import UserError
from tasks.records import read_table
from tasks.rewrites import Acceptance
from tasks.teach import TeachOptions, teach
from tasks.work import Work

FAST = {"first_wait": 0.001, "longest_wait": 0.02, "timeout": 30, "tries": 3, "candidates": 1, "model": "m"}


@pytest.fixture
def taught(tmp_path, wrong_samples_of):
    """`taught(server, 3, again=0)` runs stage teach on 3 samples; gives the rows by sample and what was logged."""

    def run(server, samples, teacher="server", acceptance=None, shard_size=256, **settings):
        logged = {}
        out, folder = tmp_path / "out", tmp_path / "work"
        out.mkdir(exist_ok=True)
        folder.mkdir(exist_ok=True)
        options = TeachOptions(
            teacher=teacher,
            shard_size=shard_size,
            settings=FAST | {"base_url": server.url} | settings,
            acceptance=acceptance or Acceptance(),
        )
        try:
            teach(
                options,
                wrong_samples_of(samples),
                out,
                log=lambda numbers, step=None: logged.update(numbers),
                work=Work(folder, lasting=tmp_path / "answers"),
            )
        finally:
            for shard in folder.iterdir():  # as --force drops them
                shard.unlink()
            run.logged = logged
        return list(read_table("rewrites", out / "rewrites.parquet").iter_rows(named=True))

    return run


def test_a_sample_is_located_and_rewritten_and_the_ledger_counts_both_requests(serving, taught):
    server = serving(serving.mending)
    rows = taught(server, 2, input_price=3.0, output_price=15.0)
    assert [(row["reject_reason"], row["is_right"], row["rewriter"], row["attempts"]) for row in rows] == [
        (None, True, "server", 1),
        (None, True, "server", 1),
    ]
    assert {row["located_step"] for row in rows} == {1}
    assert len(server.requests) == 4
    spent = {name: value for name, value in taught.logged.items() if name.startswith("teacher/") and value}
    seconds = spent.pop("teacher/seconds")
    # 100 tokens read and 10 written in each answer, 3 and 15 a million: 4 · (300 + 150) / 10⁶.
    assert spent == {"teacher/requests": 4, "teacher/answers": 4, "teacher/input_tokens": 400,
                     "teacher/output_tokens": 40, "teacher/cost": pytest.approx(0.0018)}  # fmt: skip
    assert 0 < seconds < 5


def test_the_lines_before_the_located_one_stay_as_the_sample_has_them(serving, taught):
    """Sample: a wrong sum in line 1, from which line 2 follows. A teacher that locates line 2 cannot touch line 1."""
    server = serving(lambda body: "2" if "first line" in serving.said(body) else "The answer is 3.")
    (row,) = taught(server, 1)
    assert row["rewrite"] == "Tom has 0+3=4 apples.\nThe answer is 3."
    assert "right up to here:\nTom has 0+3=4 apples.\n" in serving.said(server.requests[1])


@pytest.mark.parametrize("form", ["{}", "```\n{}\n```", "<think>\nfirst 3, no, 4\n</think>\n\n{}", "\n {} \n"])
def test_what_models_put_around_an_answer_is_no_part_of_it(serving, taught, form):
    (row,) = taught(serving(lambda body: form.format(serving.mending(body))), 1)
    assert row["rewrite"] == "Tom has 0+3=3 apples.\nThe answer is 3."


def test_an_answer_that_repeats_the_right_lines_is_not_given_them_twice(serving, taught):
    whole = "Tom has 0+3=4 apples.\nThe answer is 3."
    (row,) = taught(serving(lambda body: "2" if "first line" in serving.said(body) else whole), 1)
    assert row["rewrite"] == whole


@pytest.mark.parametrize("located", ["Line 2 is wrong.", "3", "0", "none", ""])
def test_where_no_line_is_located_nothing_is_kept_by_force_and_the_first_changed_line_counts(serving, taught, located):
    """The sample has 2 lines; the rewrite changes the second alone."""
    whole = "Tom has 0+3=4 apples.\nThe answer is 3."
    (row,) = taught(serving(lambda body: located if "first line" in serving.said(body) else whole), 1)
    assert (row["rewrite"], row["located_step"], row["reject_reason"]) == (whole, 2, None)


def test_of_several_candidates_the_right_one_with_the_fewest_edits_wins(serving, taught):
    said = ["The answer is 3.", "Tom has 0+3=3 apples.\nThe answer is 3.", "Tom has 0+3=4 apples.\nThe answer is 9."]
    server = serving(lambda body: "1" if "first line" in serving.said(body) else said[body["seed"]])
    (row,) = taught(server, 1, candidates=3)
    assert (row["rewrite"], row["edit_distance"], row["attempts"]) == (said[1], 2, 3)  # 4 → 3, twice


def test_too_many_edits_are_asked_for_again_with_the_excess_shown(serving, taught):
    def answer(body):
        if "at most 50% may change" in serving.said(body):
            return serving.mending(body)
        wordy = "Three plus none, that is quite clearly 3.\nThe answer is 3."
        return "1" if "first line" in serving.said(body) else wordy

    server = serving(answer)
    half = Acceptance(max_edit_fraction=0.5)
    (row,) = taught(server, 1, acceptance=half)
    assert (row["reject_reason"], row["edit_distance"], row["attempts"]) == (None, 2, 2)
    assert [message["role"] for message in server.requests[-1]["messages"]] == ["user", "assistant", "user"]
    (row,) = taught(server, 1, acceptance=half, again=0)
    assert (row["reject_reason"], row["is_right"]) == ("too many edits", True)


def test_the_same_questions_are_paid_once_also_with_force_and_other_limits(serving, taught):
    server = serving(serving.mending)
    first = taught(server, 5)
    again = taught(server, 5, max_requests=1, concurrency=2)
    assert again == first
    assert (len(server.requests), taught.logged["teacher/requests"], taught.logged["teacher/cached"]) == (10, 0, 10)
    taught(server, 5, model="other")
    taught(server, 5, temperature=0.1)  # located greedily, as before
    assert len(server.requests) == 10 + 10 + 5


def test_a_budget_stops_with_what_was_spent_and_the_same_command_goes_on(serving, taught):
    server = serving(serving.mending)
    limits = {"max_requests": 7, "input_price": 1.0, "output_price": 1.0, "concurrency": 3}
    said = r"max_requests of 7 is spent: 7 requests, [5-7]00 tokens read.* the same command goes on from there"
    with pytest.raises(UserError, match=said):
        taught(server, 10, **limits)
    assert taught.logged["teacher/requests"] == 7  # logged for a run that was stopped, too
    with pytest.raises(UserError, match="max_requests of 7"):
        taught(server, 10, **limits)
    rows = taught(server, 10, **limits)  # 20 questions: 7 + 7 + 6
    assert [row["reject_reason"] for row in rows] == [None] * 10
    asked = [json.dumps(body, sort_keys=True) for body in server.requests]
    assert len(asked) == len(set(asked)) == 20


def test_a_budget_of_money_counts_the_tokens_of_the_answers(serving, taught):
    # 110 tokens an answer at 10,000 a million: 1.1 each, so the third is the last that may begin.
    with pytest.raises(UserError, match=r"max_cost of 3 is spent: 3 requests, .* cost 3\.3"):
        taught(serving(serving.mending), 4, max_cost=3, input_price=1e4, output_price=1e4, concurrency=1)


def test_requests_a_minute_are_kept_by_all_threads_together(serving, taught):
    server = serving(serving.mending)
    started = time.monotonic()
    taught(server, 3, requests_per_minute=1200, concurrency=3)
    assert time.monotonic() - started > 5 * 60 / 1200  # 6 requests: 5 pauses of 50 ms


def test_a_key_that_is_refused_every_time_stops_the_stage_and_is_not_shown(serving, taught, monkeypatch):
    monkeypatch.setenv("LOCAL_KEY", "sk-planted-here")
    body = b'{"error": {"message": "Incorrect API key provided: sk-planted-here"}}'
    server = serving(lambda _: serving.fault(401, body=body))
    with pytest.raises(UserError, match=r"refuses the key in LOCAL_KEY \(401\)") as error:
        taught(server, 3, api_key_env="LOCAL_KEY")
    assert "planted" not in str(error.value)
    assert error.value.__suppress_context__ or error.value.__context__ is None
    assert set(server.keys) == {"Bearer sk-planted-here"}


def test_a_key_is_sent_to_no_other_address_unless_its_variable_is_named(serving, taught, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-here")
    server = serving(serving.mending)
    taught(server, 1)
    assert set(server.keys) == {"Bearer none"}


def test_an_unknown_model_stops_at_once_with_the_servers_words(serving, taught, monkeypatch):
    monkeypatch.setenv("LOCAL_KEY", "sk-planted-here")
    body = b'{"error": {"message": "The model m does not exist for sk-planted-here"}}'
    server = serving(lambda _: serving.fault(404, body=body))
    with pytest.raises(UserError, match="knows no such model or address: .*The model m does not exist") as error:
        taught(server, 3, api_key_env="LOCAL_KEY", concurrency=1)
    assert (len(server.requests), "planted" in str(error.value)) == (1, False)


def test_a_request_that_the_server_does_not_take_is_set_aside_and_many_in_a_row_stop_with_its_words(serving, taught):
    body = b'{"error": {"message": "max_tokens is not supported, use max_completion_tokens"}}'
    server = serving(lambda _: serving.fault(400, body=body))
    rows = taught(server, 2)
    assert [row["reject_reason"] for row in rows] == ["server: request refused (400)"] * 2
    assert len(server.requests) == 4  # none was tried again
    with pytest.raises(UserError, match="request refused .400.: .*use max_completion_tokens"):
        taught(server, 9, most_failures=5)


def test_a_server_that_is_gone_stops_the_stage_instead_of_setting_everything_aside(taught, serving):
    gone = serving(serving.mending)
    gone.http.shutdown()
    gone.http.server_close()
    with pytest.raises(UserError, match=r"4 requests in a row got no answer \(server: connection lost\)"):
        taught(gone, 20, most_failures=4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base_url": "http://me:planted@127.0.0.1/v1"}, "settings.base_url: the address holds a password"),
        ({"base_url": "http://127.0.0.1/v1?key=planted"}, "settings.base_url: the address holds a password or a query"),
        ({"base_url": "127.0.0.1:8000"}, "settings.base_url: write the address as http"),
        ({"api_key_env": "sk-planted"}, "settings.api_key_env: it is the name of an environment variable"),
        ({"max_cost": 3}, "max_cost needs input_price and output_price"),
        ({"model": ""}, "name the model: --set teach.settings.model=NAME"),
        ({"modell": "x"}, "settings.modell: there is no such setting"),
    ],
)
def test_wrong_settings_are_named_before_anything_runs_and_nothing_secret_is_repeated(settings, message):
    words = {"model": "m"} | settings
    with pytest.raises(UserError) as error:
        load_config("smoke", sets=["teach.teacher=server", *(f"teach.settings.{k}={v}" for k, v in words.items())])
    assert message in str(error.value)
    assert "planted" not in str(error.value)


def test_a_key_that_is_not_set_is_named(taught, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UserError, match="the environment variable OPENAI_API_KEY is not set"):
        taught(SimpleNamespace(url=""), 1)


def test_how_a_server_is_reached_is_no_part_of_the_stages_key():
    def key(**more):
        return key_of_settings(TeachOptions(teacher="server", settings={"model": "m"} | more), 0)

    assert key(base_url="http://127.0.0.1:1/v1", max_requests=3, timeout=1.0) == key()
    assert key(model="n") != key()
    assert key(temperature=0.2) != key()


def test_anthropics_client_is_spoken_to_in_its_own_way(serving, taught, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-planted")

    def answer(body):
        text = serving.mending(body)
        return {"content": [{"type": "text", "text": text}], "stop_reason": "end_turn",
                "usage": {"input_tokens": 7, "output_tokens": 2}}  # fmt: skip

    server = serving(answer)
    server.url = server.url.removesuffix("/v1")
    rows = taught(server, 2, teacher="anthropic", api_key_env="ANTHROPIC_API_KEY")
    assert [row["reject_reason"] for row in rows] == [None, None]
    assert {key.removeprefix("Bearer ") for key in server.keys} == {"sk-ant-planted"}
    assert set(server.requests[0]) == {"model", "messages", "max_tokens"}
    assert taught.logged["teacher/input_tokens"] == 28  # 7 for each of 4


def test_a_client_that_is_not_installed_is_named_with_its_extra(serving, taught, monkeypatch):
    monkeypatch.setitem(sys.modules, "anthropic", None)
    with pytest.raises(UserError, match=r"needs the package anthropic: pip install 'rlmec\[anthropic\]'"):
        taught(serving(serving.mending), 1, teacher="anthropic")
