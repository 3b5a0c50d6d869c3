"""Whose files are whose: what edgegan wrote is listed, and nothing else is ever removed."""
