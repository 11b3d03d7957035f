"""The networks: denoiser, state model, and the world model made of them."""
