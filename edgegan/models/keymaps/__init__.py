"""Names and shapes of public checkpoints, one file a family: read into our modules, and written back."""
