"""Everything between a normalised action and an arm."""
