"""Completions from a server: the ids that were sampled where it gives them, and what is done where it does not.

`test_transformers_serve.py` asks a real one.
"""

import pytest

from models.policy import Decoding
from tasks.errors import UserError
from tasks.prompts import decode, solve_prompt
from tasks.sample import SampleOptions


def completion(text, finish_reason="length", prompt_tokens=None, **choice):
    return {"choices": [{"text": text, "finish_reason": finish_reason, **choice}],
            "usage": {"prompt_tokens": prompt_tokens}}  # fmt: skip


def test_the_ids_that_a_server_gives_are_taken_as_they_are(serving, drawn, tokenizer):
    """vLLM's `token_ids` end with the EOS; here the word is in letters, as no tokenizer would part it."""
    odd = [token for letter in "apples" for token in tokenizer(letter, add_special_tokens=False)["input_ids"]]
    eos = tokenizer.eos_token_id
    server = serving(lambda body: completion("apples", "stop", len(body["prompt"]), token_ids=[*odd, eos]))
    (made,) = drawn("server", Decoding(9), server.url, ["Tom?"])
    assert (made.ids, made.ended, made.ids_from_text) == ([*odd, eos], True, False)
    prompt = solve_prompt(tokenizer, "Tom?", None)
    assert [(body["prompt"], body["return_token_ids"]) for body in server.requests] == [(prompt, True)] * 2


def test_ids_in_log_probabilities_count_and_an_end_that_was_left_out_is_put_there(serving, drawn, tokenizer):
    server = serving(lambda body: completion("x", "stop", logprobs={"tokens": ["token_id:7", "token_id:9"]}))
    (made,) = drawn("server", Decoding(9), server.url, ["Tom?"])
    assert (made.ids, made.ids_from_text) == ([7, 9, tokenizer.eos_token_id], False)


def test_a_completion_that_met_the_length_limit_has_no_end(serving, drawn, tokenizer):
    server = serving(lambda body: completion("Tom has"))
    (made,) = drawn("server", Decoding(9), server.url, ["Tom?"])
    assert (decode(tokenizer, made.ids), made.ended, made.ids_from_text) == ("Tom has", False, True)
    assert tokenizer.eos_token_id not in made.ids


@pytest.mark.parametrize("ids", [{}, {"token_ids": []}])
def test_a_completion_of_which_a_filter_leaves_nothing_ended_at_once(serving, drawn, tokenizer, ids):
    server = serving(lambda body: completion("", "content_filter", **ids))
    (made,) = drawn("server", Decoding(9), server.url, ["Tom?"])
    assert (made.ids, made.ended) == ([tokenizer.eos_token_id], True)


def test_a_server_with_another_tokenizer_is_named(serving, drawn):
    server = serving(lambda body: completion("x", prompt_tokens=99))
    with pytest.raises(UserError, match="reads a prompt as 99 tokens and the policy's tokenizer as"):
        drawn("server", Decoding(9), server.url)


def test_a_passing_failure_is_tried_again_and_a_lasting_one_stops(serving, drawn, tokenizer):
    def answer(body):  # the first time that something is asked, it fails
        return serving.fault(500) if server.requests.count(body) == 1 else completion("Tom")

    server = serving(answer)
    made = drawn("server", Decoding(9), server.url)
    assert [decode(tokenizer, one.ids) for one in made] == ["Tom"] * 4
    server.answer = lambda body: serving.fault(500)
    with pytest.raises(UserError, match=r"answers no request for a completion \(server: error 500\)"):
        drawn("server", Decoding(9), server.url)


def test_a_server_is_named_before_anything_runs():
    with pytest.raises(ValueError, match=r"name the server, --set sample.settings.base_url="):
        SampleOptions(sampler="server")
    with pytest.raises(UserError, match="there is no sampler 'vllm'"):
        SampleOptions(sampler="vllm")
