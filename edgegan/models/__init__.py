"""Generators as plain torch modules, one folder a family."""
