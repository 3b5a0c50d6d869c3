"""Recipes shipped as YAML files."""
