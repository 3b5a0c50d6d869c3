"""A public archive fetched when asked for: to the end within limits of size and time, or nothing is kept."""

from __future__ import annotations

import os
import tempfile
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

from edgegan.console import progress
from edgegan.errors import InputError
from edgegan.files import make_folder

TIMEOUT_S = 30.0
LONGEST_S = 6 * 3600.0
BLOCK = 1 << 20


def download_archive(url: str, folder: Path, largest: int, longest_s: float = LONGEST_S) -> Path:
    """The file behind `url` in `folder`, from there when it is whole already. Raises InputError when it cannot be
    reached, ends early, or is above `largest` bytes or `longest_s` seconds; then nothing of it stays."""
    path = make_folder(folder) / url.rsplit("/", 1)[-1]
    if path.is_file():
        return path
    began, taken = time.monotonic(), 0
    descriptor, partial = tempfile.mkstemp(prefix=".", suffix=".partial", dir=folder)
    try:
        with (
            os.fdopen(descriptor, "wb") as file,
            urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer,
        ):
            total = int(answer.headers.get("Content-Length") or 0)
            if total > largest:
                raise ValueError(f"it has {total:,} bytes, allowed are {largest:,}")
            with progress(f"downloading {path.name}, MB", max(1, total >> 20)) as bar:
                while block := answer.read(BLOCK):
                    taken += len(block)
                    if taken > largest or time.monotonic() - began > longest_s:
                        raise ValueError(f"more than {largest:,} bytes or {longest_s:,.0f} s")
                    file.write(block)
                    bar.step(taken >> 20)
            if total and taken != total:
                raise ValueError(f"it ended after {taken:,} of {total:,} bytes")
        Path(partial).replace(path)
    except (urllib.error.URLError, HTTPException, OSError, ValueError) as error:
        raise InputError(
            f"cannot download {url} ({error}); nothing was kept: try again, or fetch it elsewhere and give its path"
        ) from error
    finally:
        Path(partial).unlink(missing_ok=True)
    return path
