"""Policies: behaviour cloning, PPO refinement in imagination, and deployment."""
