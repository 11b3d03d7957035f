"""The diffusion world model, the reward model and imagination."""
