"""Teachers from scratch: one file a method, the loop that all share, every stage in order in pipeline.py."""
