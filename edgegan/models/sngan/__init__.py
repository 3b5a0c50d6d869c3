"""One family: its network and the key map of its public checkpoints."""
