"""How far a dream can be trusted: world models that dream along, and what their disagreement means."""
