"""Teachers from scratch: one file a method."""
