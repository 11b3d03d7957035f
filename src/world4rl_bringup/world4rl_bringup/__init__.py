"""The graph as data: node specs, launch files, and a runner for machines without ``launch``."""
