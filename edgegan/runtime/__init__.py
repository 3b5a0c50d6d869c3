"""Artefacts run in worker processes: session.py asks, worker.py computes, apply.py runs pictures through anything."""

from edgegan.runtime.session import Session

__all__ = ["Session"]
