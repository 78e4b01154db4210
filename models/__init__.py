"""What tensors do: torch, transformers and accelerate only, so that it runs on a GPU box that has nothing else."""
