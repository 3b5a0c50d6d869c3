"""Measuring: latency of artefacts in the runtimes that ship, and the report."""
