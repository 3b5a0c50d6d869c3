"""Where Debian packages come from: the mirror that this machine's own apt uses, or one that the user names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgegan.errors import MissingDependency

SUITE = "bookworm"
VARIABLE = "EDGEGAN_DEBIAN_MIRROR"
APT = Path("/etc/apt")


@dataclass(frozen=True)
class AptSource:
    """One repository that apt asks."""

    address: str
    suites: tuple[str, ...]
    components: tuple[str, ...]


def debian_mirror(apt: Path = APT) -> str:
    """$EDGEGAN_DEBIAN_MIRROR, else the mirror of this Debian's own apt sources.

    Raises MissingDependency where there is neither: no host is contacted that nobody named.
    """
    own = os.environ.get(VARIABLE)
    if own:
        return own
    usable = [
        source
        for source in apt_sources(apt)
        if "main" in source.components and source.address.rstrip("/").endswith("/debian")
    ]
    # A Debian of another suite has a mirror too, which holds this suite as well.
    for source in sorted(usable, key=lambda each: SUITE not in each.suites):
        return source.address
    raise MissingDependency(
        f"arm64 packages of Debian {SUITE} are needed and apt here names no Debian mirror; "
        f"name one you trust: {VARIABLE}=http://HOST/debian"
    )


def apt_sources(apt: Path = APT) -> list[AptSource]:
    """The repositories of sources.list and of sources.list.d, in both formats; those switched off are left out."""
    found: list[AptSource] = []
    for path in sorted(apt.glob("sources.list.d/*.sources")):
        text = path.read_text(encoding="utf-8", errors="replace")
        for stanza in re.split(r"\n[ \t]*(?:\n|$)", text):
            found += read_stanza(stanza)
    for path in [apt / "sources.list", *sorted(apt.glob("sources.list.d/*.list"))]:
        if path.is_file():
            found += read_lines(path.read_text(encoding="utf-8", errors="replace"))
    return found


def read_stanza(text: str) -> Iterator[AptSource]:
    """One paragraph of the deb822 format; a line that begins with a blank goes on with the field above."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    fields: dict[str, list[str]] = {}
    name = ""
    for line in lines:
        if not line[:1].isspace():
            name, _, line = line.partition(":")
        fields.setdefault(name.strip().lower(), []).extend(line.split())
    if "deb" not in fields.get("types", []) or fields.get("enabled") == ["no"]:
        return
    suites, components = (tuple(fields.get(key, ())) for key in ("suites", "components"))
    for address in fields.get("uris", []):
        yield AptSource(address, suites, components)


def read_lines(text: str) -> Iterator[AptSource]:
    """The one-line format: deb [options] address suite component ..."""
    for line in text.splitlines():
        found = re.match(r"\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s*([^#]*)", line)
        if found:
            yield AptSource(found[1], (found[2],), tuple(found[3].split()))
