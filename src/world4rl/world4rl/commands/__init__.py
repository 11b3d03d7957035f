"""The commands of `world4rl`, one file per group. Modules here import nothing heavy: torch and mujoco come inside the functions."""
