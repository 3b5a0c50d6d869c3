"""Weights fetched only when asked for: one URL, one known hash, kept in the user's cache."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

from edgegan.console import progress
from edgegan.errors import InputError, IntegrityError
from edgegan.files import cache_folder, make_folder, sha256_bytes, write_atomic

TIMEOUT_S = 30.0
BLOCK = 1 << 20
# Each file name ends in the first eight digits of its sha256, as torch.hub's do.
INCEPTION_URL = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    "pt_inception-2015-12-05-6726825d.pth"
)
VGG16_URL = "https://download.pytorch.org/models/vgg16-397923af.pth"


def fetch(url: str, folder: Path | None = None) -> Path:
    """The file behind `url`, from the cache or the network, checked by the hash in its name.

    Raises InputError when it cannot be reached and IntegrityError when it is not the expected file.
    """
    folder = folder or cache_folder()
    name = url.rsplit("/", 1)[-1]
    path = folder / name
    expected = Path(name).stem.rsplit("-", 1)[-1]
    if path.is_file() and sha256_bytes(path.read_bytes()).startswith(expected):
        return path
    blocks: list[bytes] = []
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            total = int(answer.headers.get("Content-Length") or 0)
            with progress(f"downloading {name}, MB", max(1, total >> 20)) as bar:
                while block := answer.read(BLOCK):
                    blocks.append(block)
                    bar.step(sum(map(len, blocks)) >> 20)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise InputError(
            f"cannot download {url} ({error}); fetch it elsewhere and give its path instead"
        ) from error
    data = b"".join(blocks)
    if not sha256_bytes(data).startswith(expected):
        raise IntegrityError(
            f"{url} is not the expected file (its sha256 does not begin with {expected}); nothing was kept"
        )
    make_folder(folder)
    write_atomic(path, data)
    return path
