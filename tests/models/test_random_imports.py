"""Every family in random public forms comes back as it was; `make fuzz-imports` tries 200 (support/fuzz_imports.py)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fuzz_imports import check

SEEDS, BATCH = 48, 12


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_random_public_forms_come_back(first: int, tmp_path: Path) -> None:
    """With prefixes, wrappers, precisions, normed weights, protocols and containers drawn by seed."""
    wrong = []
    for seed in range(first, first + BATCH):
        folder = tmp_path / str(seed)
        folder.mkdir()
        words, problem = check(seed, folder)
        if problem:
            wrong.append(f"seed {seed}: {problem}\n{words}")
    assert not wrong, "\n".join(wrong)
