"""Refinement: PPO in imagination, what it begins with, what it keeps, and whether its dream was true."""
