"""Spoilt files through the commands that read them; `make fuzz` tries many more, support/fuzz_files.py says how."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.commands import made_once
from support.fuzz_files import fuzz, last_words
from support.fuzz_place import make_place

TRIES = 60


def test_spoilt_files_are_refused_or_done(
    finished_run: Path,
    resnet_checkpoint: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """No traceback, no more memory than 50 times the file and 500 MB, an end in a minute, nothing changed outside."""
    place = made_once(
        tmp_path_factory, "fuzz", lambda at: make_place(at, finished_run, resnet_checkpoint)
    )
    tries = list(fuzz(range(TRIES), place, tmp_path, cheap=True))
    wrong = [
        f"seed {each.seed}: {each.wrong}: {each.path}: edgegan {each.command}\n{last_words(each.words)}"
        for each in tries
        if each.wrong
    ]
    assert not wrong, "\n".join(wrong)
    assert len(tries) == TRIES
