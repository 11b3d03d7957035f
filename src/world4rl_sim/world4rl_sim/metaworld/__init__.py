"""Meta-World's 50 tasks as environments of this project (optional: the `metaworld` extra)."""
