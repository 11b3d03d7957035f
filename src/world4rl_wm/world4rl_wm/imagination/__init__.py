"""Dreams: stepped, watched, as an environment, and as answers to requests."""
