"""Files out of npm packages: pinned by version and sha256, fetched by npm once, kept in the cache."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edgegan.archives import ArchiveError, read_tar
from edgegan.errors import DeviceError, IntegrityError, MissingDependency, OutputError
from edgegan.files import cache_folder, make_folder, sha256_file, write_atomic
from edgegan.processes import Overrun, run_bounded
from edgegan.runtime.limits import LONGER, deadline_s

TIMEOUT_S = 600.0
MOST_UNPACKED_BYTES = 1 << 30


@dataclass(frozen=True)
class Package:
    """One package of the npm registry; `sha256` is that of its .tgz."""

    name: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        return f"{self.name.lstrip('@').replace('/', '-')}-{self.version}.tgz"


def fetch(package: Package, *, download: bool) -> Path:
    """The package's .tgz in the cache, its sha256 checked; fetched with `npm pack` when it is not there.

    Raises MissingDependency without `download` or npm, DeviceError when the registry is not reached,
    IntegrityError for other bytes.
    """
    path = cache_folder() / "npm" / package.file
    if path.is_file():
        if sha256_file(path) == package.sha256:
            return path
        path.unlink()
    if not download:
        raise MissingDependency(
            f"{package.name} {package.version} is not in {path.parent}; add --download to fetch it through npm once"
        )
    npm = shutil.which("npm")
    if npm is None:
        raise MissingDependency(
            f"npm is needed to fetch {package.name} {package.version}; install it (Debian: apt-get install npm)"
        )
    make_folder(path.parent)
    with tempfile.TemporaryDirectory(dir=path.parent) as temporary:
        command = [npm, "pack", f"{package.name}@{package.version}", "--silent"]
        try:
            done = run_bounded(command, deadline_s(TIMEOUT_S), folder=Path(temporary))
        except Overrun as error:
            raise DeviceError(f"{' '.join(command)}: {error}; {LONGER}") from error
        fetched = Path(temporary) / package.file
        if done.code != 0 or not fetched.is_file():
            raise DeviceError(
                f"npm could not fetch {package.name} {package.version}: {done.last_words()}; "
                "check the network, then run the command again"
            )
        found = sha256_file(fetched)
        if found != package.sha256:
            raise IntegrityError(
                f"npm delivered other bytes for {package.name} {package.version}: sha256 {found}, "
                f"expected {package.sha256}; nothing was kept"
            )
        fetched.replace(path)
    return path


def unpack(package: Package, files: dict[str, Path], *, download: bool) -> None:
    """Writes members of the package, {path inside it: where to}; raises OutputError when one is missing."""
    path = fetch(package, download=download)
    try:
        found = read_tar(path, [f"package/{member}" for member in files], MOST_UNPACKED_BYTES)
    except ArchiveError as error:
        raise IntegrityError(f"{path}: {error}; delete it, then run the command again") from error
    for member, target in files.items():
        if f"package/{member}" not in found:
            raise OutputError(f"{package.file} holds no {member}")
        write_atomic(target, found[f"package/{member}"])
