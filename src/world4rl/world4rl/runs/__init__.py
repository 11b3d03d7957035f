"""A run: its folder, settings, stages, start states and dreamers, how its policies do, and where its results come from."""
