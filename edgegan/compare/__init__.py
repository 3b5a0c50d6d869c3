"""Several ways to a student side by side."""
