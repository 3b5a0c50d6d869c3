"""The recipe: one YAML file is one run; a section a file, the whole in schema.py."""
