"""What tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real weights and pictures ($EDGEGAN_DATA, or a folder beside the repository); skips without them."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("EDGEGAN_DATA", default))
    if not (folder / "weights").is_dir():
        pytest.skip(f"no weights in {folder}; set EDGEGAN_DATA to a folder that has them")
    return folder
