"""Rewrites by subject. Their order, and what each target gets, stand in `edgegan.export.rewrite`."""
