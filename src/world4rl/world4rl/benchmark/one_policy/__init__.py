"""One policy for all tasks of a seed of the benchmark, beside the rows' own policies."""
