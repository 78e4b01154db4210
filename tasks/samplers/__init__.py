"""What draws completions from the policy: one file a sampler, its name is its key.

A module `tasks/samplers/<name>.py` has

    Options      its settings, a pydantic model; `unkeyed` names those that change no completion
    completions(options, folder, tokenizer, prompts, decoding, seeds, batch_size, device) -> Iterator[Completion]

`prompts` are token ids, and so are the completions, ended by EOS where the policy ended them (models.policy.Completion,
whose `row` names the prompt). `seeds` has one seed a prompt. Completions come in any order.
"""
