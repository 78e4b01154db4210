"""What tensors do: torch and transformers only (peft where asked), so that it runs on a GPU box with nothing else."""
