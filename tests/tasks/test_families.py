"""Every kind of causal language model that users bring goes through the stages with its own ids.

Each family here has the architecture and the tokenizer class of a published one, with a vocabulary learned from the
text below and small random weights:

    llama-2   byte-fallback BPE with a dummy space before a text, BOS, no padding token
    llama-3   byte-level BPE, BOS by its post-processor, chat template, more embeddings than tokens
    qwen3     byte-level BPE without BOS, padding that is no EOS, chat template whose end of turn is EOS
    gemma3    byte-fallback BPE that keeps its spaces, BOS, chat template whose end of turn is not EOS, sliding window
    pythia    byte-level BPE without BOS, EOS that is the padding token as well
    unigram   a unigram without byte fallback, as SentencePiece makes it, in a Llama
"""

import json

import polars as pl
import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from models import policy
from models.batch import collate
from models.loop import Optimisation
from tasks.align import AlignOptions, align
from tasks.errors import UserError
from tasks.evaluate import EvaluateOptions, evaluate
from tasks.lessons import Lessons
from tasks.prompts import decode, encode, end, line_spans, rewrite_prompt, solution_completion, solve_prompt, start
from tasks.records import read_table, stable_id, table, write_table
from tasks.rewrite import RewriteOptions, rewrite
from tasks.rewrites import spliced_ids
from tasks.sample import SampleOptions, sample
from tasks.score import ScoreOptions, score
from tasks.teach import TeachOptions, teach
from tasks.train_policy import TrainPolicyOptions, train_policy
from tasks.train_reward_model import TrainRewardModelOptions, train_reward_model

PROBLEMS = [
    {
        "problem_id": stable_id(start, more),
        "question": f"Zoë has {start} apples. She buys {more} more. How many has she?",
        "solution": f"She has {start}+{more}={start + more} apples.\nThe answer is {start + more}.",
        "answer": str(start + more),
        "options": None,
        "source": "tiny",
        "split": "train",
    }
    for start, more in [(12, 5), (3, 4), (20, 7)]
]
LINES = [
    "Question: Zoe has 12 apples. She buys 5 more. How many has she?", "Solution:", "She has 12+5=17 apples.",
    "The answer is 17.", "Reference solution:", "Student solution:", "Corrected solution:", "First wrong line:",
    "0123456789",
]  # fmt: skip
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content }}"
    "<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content }}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
SHAPE = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
         "initializer_range": 0.3}  # fmt: skip
GROUPED = {**SHAPE, "num_key_value_heads": 1, "head_dim": 8}
FAST = Optimisation(learning_rate=1e-3)


def byte_level():
    """The vocabulary and merges of a byte-level BPE."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    trained.train_from_iterator(["\n".join(LINES)] * 3, trainer)
    return learned(trained)


def byte_fallback(*special):
    """Those of a BPE on characters, with a token for every byte and for spaces a ▁."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    trained.train_from_iterator(LINES * 3, trainers.BpeTrainer(vocab_size=120, show_progress=False))
    vocabulary, merges = learned(trained)
    first = [*special, *(f"<0x{byte:02X}>" for byte in range(256))]
    return {token: number for number, token in enumerate([*first, *vocabulary])}, merges


def learned(trained):
    model = json.loads(trained.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


def llama_2():
    from transformers import LlamaConfig, LlamaForCausalLM, LlamaTokenizer

    tokenizer = LlamaTokenizer(*byte_fallback("<unk>", "<s>", "</s>"), add_bos_token=True)
    return LlamaForCausalLM, LlamaConfig(vocab_size=len(tokenizer), **SHAPE), tokenizer


def llama_3():
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    fast = Tokenizer(models.BPE(*byte_level()))
    fast.pre_tokenizer, fast.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    fast.add_special_tokens(special)
    bos = (special[0], fast.token_to_id(special[0]))
    fast.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(f"{bos[0]} $A", None, [bos])]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=fast, bos_token=bos[0], eos_token=special[4], clean_up_tokenization_spaces=True
    )
    tokenizer.chat_template = LLAMA3
    return LlamaForCausalLM, LlamaConfig(vocab_size=len(tokenizer) + 13, **GROUPED), tokenizer


def qwen3():
    from transformers import Qwen2Tokenizer, Qwen3Config, Qwen3ForCausalLM

    tokenizer = Qwen2Tokenizer(*byte_level(), eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    tokenizer.chat_template = CHATML
    return Qwen3ForCausalLM, Qwen3Config(vocab_size=len(tokenizer), **GROUPED), tokenizer


def gemma3():
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig, GemmaTokenizer

    special = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "\n", "\n\n")
    vocabulary, merges = byte_fallback(*special)
    tokenizer = GemmaTokenizer(vocabulary, [*merges, ("\n", "\n")], add_bos_token=True)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<start_of_turn>", "<end_of_turn>"]})
    tokenizer.chat_template = GEMMA
    config = Gemma3TextConfig(
        vocab_size=len(tokenizer), **GROUPED, sliding_window=24, layer_types=["sliding_attention", "full_attention"]
    )
    return Gemma3ForCausalLM, config, tokenizer


def pythia():
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, GPTNeoXTokenizer

    tokenizer = GPTNeoXTokenizer(*byte_level(), pad_token="<|endoftext|>")
    return GPTNeoXForCausalLM, GPTNeoXConfig(vocab_size=len(tokenizer), **SHAPE), tokenizer


def unigram(keeps_breaks=True):
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    trained = Tokenizer(models.Unigram())
    trained.pre_tokenizer, trained.decoder = pre_tokenizers.Metaspace(prepend_scheme="first"), decoders.Metaspace()
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.UnigramTrainer(vocab_size=150, unk_token="<unk>", special_tokens=special, show_progress=False)
    trained.train_from_iterator([*LINES, "ë"] * 3, trainer)
    if keeps_breaks:
        trained.add_tokens([AddedToken("\n", normalized=False)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=trained, unk_token="<unk>", eos_token="</s>")
    return LlamaForCausalLM, LlamaConfig(vocab_size=len(tokenizer), **SHAPE), tokenizer


FAMILIES = {"llama-2": llama_2, "llama-3": llama_3, "qwen3": qwen3, "gemma3": gemma3, "pythia": pythia,
            "unigram": unigram}  # fmt: skip


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tmp_path_factory):
    """A checkpoint of the family, and what every stage made of it: samples drawn by the policy, and one near miss a
    problem whose word "apples" was sampled letter by letter."""
    root = tmp_path_factory.mktemp(request.param)
    made, config, tokenizer = FAMILIES[request.param]()
    torch.manual_seed(0)
    policy.save(made(config), tokenizer, root / "policy")
    paths = {"policy": root / "policy", "tokenizer": root / "policy", "problems": root / "problems.parquet"}
    write_table(table("problems", PROBLEMS), "problems", paths["problems"])

    def call(stage, options, **names):
        out = root / stage.__name__
        out.mkdir()
        stage(options, paths, out, seed=1)
        paths.update({name: out / file for name, file in names.items()})

    call(sample, SampleOptions(samples_per_problem=2, max_new_tokens=9, temperature=1.0), drawn="samples.parquet")
    tokenizer = policy.load_tokenizer(paths["policy"])
    paths["samples"] = root / "samples.parquet"
    misses = table("samples", [near_miss(tokenizer, problem) for problem in PROBLEMS])
    write_table(pl.concat([read_table("samples", paths["drawn"]), misses]), "samples", paths["samples"])
    call(teach, TeachOptions(), teacher_rewrites="rewrites.parquet")
    paths["rewrites"] = paths["teacher_rewrites"]  # the GRM's would be noise, from so small a model
    learning = {"updates": 2, "batch_size": 4, "optimisation": FAST}
    call(train_reward_model, TrainRewardModelOptions(unseen_share=0.0, **learning), reward_model="model",
         pairs="pairs.parquet")  # fmt: skip
    call(rewrite, RewriteOptions(max_new_tokens=9))
    call(align, AlignOptions(), edits="edits.parquet")
    call(score, ScoreOptions(batch_size=3), token_rewards="token_rewards.parquet")
    call(train_policy, TrainPolicyOptions(**learning), trained="model")
    return paths, tokenizer


def near_miss(tokenizer, problem):
    """A sample that is wrong by one digit, in two lines."""
    wrong = problem["solution"].replace(problem["answer"], str(int(problem["answer"]) + 1))
    before, after = wrong.split("apples")
    letters = [token for letter in "apples" for token in encode(tokenizer, letter)]
    ids = [*encode(tokenizer, before), *letters, *encode(tokenizer, after), end(tokenizer)]
    return {
        "sample_id": stable_id(problem["problem_id"], ids), "problem_id": problem["problem_id"],
        "prompt_ids": solve_prompt(tokenizer, problem["question"], None), "completion_ids": ids, "completion": wrong,
        "finish_reason": "stop", "extracted_answer": None, "is_right": False,
    }  # fmt: skip


def plain(model, prompt_ids, completion_ids):
    """The completion's log-probabilities from one forward pass, without padding."""
    with torch.no_grad():
        logprobs = model(input_ids=torch.tensor([[*prompt_ids, *completion_ids]])).logits[0].log_softmax(-1)
    first = len(prompt_ids) - 1
    return [float(logprobs[first + t, token]) for t, token in enumerate(completion_ids)]


def holds(ids, part):
    return any(list(ids[first : first + len(part)]) == list(part) for first in range(len(ids)))


def test_text_becomes_ids_and_text_again_as_it_stands_behind_a_line_break(family):
    _, tokenizer = family
    for text in ("She has 12+5=17 apples.\nThe answer is 17.", "\nCorrected solution:\n", "ë"):
        assert decode(tokenizer, encode(tokenizer, text)) == text
    ids = solution_completion(tokenizer, "\nShe has.\n \nThe answer.")
    assert [decode(tokenizer, ids[first:after]) for first, after in line_spans(tokenizer, ids)] == [
        "\nShe has.\n \n",
        "The answer.",
    ]


def test_bos_stands_once_at_the_head_of_every_prompt_where_the_tokenizer_has_it(family):
    paths, tokenizer = family
    bos = list(start(tokenizer))
    assert bos == tokenizer("apples")["input_ids"][: len(bos)]
    assert bos in ([], [tokenizer.bos_token_id])
    row = read_table("samples", paths["samples"]).row(-1, named=True)
    for prompt in (row["prompt_ids"], rewrite_prompt(tokenizer, "How many?", None, "One.", row["completion_ids"])):
        assert prompt[: len(bos)] == bos
        assert prompt.count(bos[0] if bos else tokenizer.bos_token_id) == len(bos)


def test_a_chat_template_asks_the_policy_and_its_turn_ends_every_completion(family):
    paths, tokenizer = family
    prompt = tokenizer.decode(read_table("samples", paths["samples"])["prompt_ids"][0])
    ends = {LLAMA3: "<|eot_id|>", CHATML: "<|im_end|>", GEMMA: "<end_of_turn>"}
    assert tokenizer.convert_ids_to_tokens(end(tokenizer)) == ends.get(tokenizer.chat_template, tokenizer.eos_token)
    assert ("Give a solution" in prompt) == bool(tokenizer.chat_template)
    assert ("Solution:" in prompt) != bool(tokenizer.chat_template)
    ids = read_table("rewrites", paths["teacher_rewrites"]).filter(pl.col("reject_reason").is_null())["rewrite_ids"]
    assert {row[-1] for row in ids} == {end(tokenizer)}


def test_the_teachers_rewrite_keeps_the_sampled_ids_of_every_line_that_it_leaves_alone(family):
    paths, tokenizer = family
    rewrites = read_table("rewrites", paths["teacher_rewrites"]).filter(pl.col("reject_reason").is_null())
    assert len(rewrites) == 3 * len(PROBLEMS)  # of two samples each, and the near misses
    # The unigram trainer is not the same every time, and a drawn sample may begin with a space, which a rewrite keeps.
    assert {text.strip() for text in rewrites["rewrite"]} == {problem["solution"] for problem in PROBLEMS}
    for ids, text in zip(rewrites["rewrite_ids"], rewrites["rewrite"], strict=True):
        assert decode(tokenizer, ids) == text
    miss = near_miss(tokenizer, PROBLEMS[0])
    _, second = miss["completion"].split("\n")
    ids = spliced_ids(tokenizer, miss["completion_ids"], f"Another line.\n{second}")
    assert holds(ids, miss["completion_ids"][line_spans(tokenizer, miss["completion_ids"])[1][0] :])


def test_prompts_hold_the_sampled_ids_and_masks_are_right_to_the_token(family):
    paths, tokenizer = family
    lessons = Lessons(TrainPolicyOptions(), paths, tokenizer)
    sampled = {tuple(ids) for ids in read_table("samples", paths["samples"])["completion_ids"]}
    for row in lessons.wrong:
        first, *_ = examples = lessons.examples(row)
        assert tuple(first.completion_ids) in sampled
        prompt = rewrite_prompt(tokenizer, "How many?", None, "One.", first.completion_ids)
        assert holds(prompt, [token for token in first.completion_ids if token != end(tokenizer)])
        batch = collate(examples, torch.device("cpu"))
        for place, example in enumerate(examples):
            assert batch.tokens[place, batch.completion[place]].tolist() == list(example.completion_ids)
            assert batch.layout.tokens[place, : len(example)].tolist() == example.ids


def test_reference_logprobs_are_those_of_a_plain_forward_pass(family):
    paths, _ = family
    model, _ = policy.load(paths["policy"])
    samples = read_table("samples", paths["samples"])
    scores = read_table("token_rewards", paths["token_rewards"])
    for (prompt, ids), found in zip(
        samples.select("prompt_ids", "completion_ids").iter_rows(), scores["reference_logprobs"], strict=True
    ):
        assert list(found) == pytest.approx(plain(model, prompt, ids), abs=1e-4)


def test_greedy_decoding_takes_the_likeliest_token_of_a_plain_forward_pass(family):
    """Two prompts of different lengths, longer than Gemma's sliding window."""
    paths, tokenizer = family
    model, _ = policy.load(paths["policy"])
    long = solve_prompt(tokenizer, PROBLEMS[0]["question"], None)
    for done in policy.complete(model, [long, long[:-5]], end(tokenizer), policy.Decoding(6)):
        ids = list([long, long[:-5]][done.row])
        for token in done.ids:
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([ids])).logits[0, -1]
            assert logits.max() - logits[token] < 1e-4
            ids.append(token)


def test_the_trained_policy_is_a_checkpoint_of_its_family_that_is_asked_as_before(family, tmp_path):
    paths, tokenizer = family
    trained = policy.load_tokenizer(paths["trained"])
    question = PROBLEMS[0]["question"]
    assert solve_prompt(trained, question, None) == solve_prompt(tokenizer, question, None)
    evaluate(EvaluateOptions(max_new_tokens=3), {**paths, "policy": paths["trained"]}, tmp_path)
    before, after = (token_sum(policy.load(paths[name])[0]) for name in ("policy", "trained"))
    assert before != after


def token_sum(model):
    return sum(float(tensor.detach().double().abs().sum()) for tensor in model.parameters())


def test_a_reward_model_with_another_tokenizer_is_refused(family, policy_folder, tmp_path):
    paths, _ = family
    inputs = {**paths, "policy": policy_folder}
    with pytest.raises(UserError, match="the reward model and the policy have different tokenizers"):
        train_reward_model(TrainRewardModelOptions(), inputs, tmp_path, seed=0)
    with pytest.raises(UserError, match="the reward model and the policy have different tokenizers"):
        score(ScoreOptions(), {**paths, "reward_model": policy_folder}, tmp_path)


def test_bos_stands_once_also_where_the_chat_template_does_not_write_it():
    _, _, tokenizer = llama_3()
    tokenizer.chat_template = LLAMA3.replace("{{ bos_token }}", "")
    prompt = solve_prompt(tokenizer, "How many?", None)
    assert (prompt[0], prompt.count(tokenizer.bos_token_id)) == (tokenizer.bos_token_id, 1)


def test_a_tokenizer_that_loses_line_breaks_is_refused(tmp_path):
    made, config, tokenizer = unigram(keeps_breaks=False)
    policy.save(made(config), tokenizer, tmp_path / "policy")
    write_table(table("problems", PROBLEMS), "problems", tmp_path / "problems.parquet")
    inputs = {"policy": tmp_path / "policy", "problems": tmp_path / "problems.parquet"}
    with pytest.raises(UserError, match="loses line breaks"):
        evaluate(EvaluateOptions(), inputs, tmp_path)
