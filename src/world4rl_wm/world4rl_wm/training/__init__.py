"""Training of world model and state model, resumable, on any number of processes."""
