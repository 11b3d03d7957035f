"""The commands of `world4rl`, one file per group; torch and mujoco are imported inside the functions."""
