"""The ``world4rl`` command and the pipeline that strings the stages together."""
