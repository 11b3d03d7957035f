"""Rounds after a finished run: its policy works in the simulator, its models learn from that, it is refined again."""
