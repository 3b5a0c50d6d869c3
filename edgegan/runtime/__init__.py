"""Artefacts run in worker processes: session.py asks, worker.py computes, apply.py runs pictures through anything."""
