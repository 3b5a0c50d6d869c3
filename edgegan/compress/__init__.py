"""From a teacher to a student: every stage in order in pipeline.py."""
