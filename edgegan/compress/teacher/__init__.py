"""What the teacher gives a student: examples, cached outputs, or outputs in every step."""
