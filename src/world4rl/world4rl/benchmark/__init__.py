"""Benchmarks that put many runs into one table, a resumable job for each row."""
