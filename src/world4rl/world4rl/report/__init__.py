"""Pages about runs: self-contained HTML."""
