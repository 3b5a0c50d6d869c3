"""Training: the loop, losses, judge and checkpoints that teachers and students share; one file a method in teachers."""
