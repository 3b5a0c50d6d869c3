"""`make fuzz-networks`: hostile TorchScript and ONNX networks, one after the other, each watched."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edgegan.errors import EdgeGANError
from support.hostile_networks import KINDS, make
from support.watched_networks import DEADLINE_S, ROOM_S, judge


def main() -> None:
    """Prints a line for each network, then the counts; exit 1 when one of them did what it may not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    given = parser.parse_args()
    found: Counter[str] = Counter()
    for seed in range(given.start, given.start + given.count):
        with tempfile.TemporaryDirectory(prefix="fuzz-networks-") as name:
            folder = Path(name).resolve()
            victim, own = folder / "victim", folder / "own"
            victim.write_bytes(bytes(64))
            own.mkdir()
            kind, path = make(seed, own, victim)
            try:
                deeds = judge(path, folder, read_first=seed // len(KINDS) % 2 == 0)
            except Exception as error:
                if isinstance(error, EdgeGANError):
                    raise
                sys.stdout.write(f"{seed:4} {kind}: {type(error).__name__}: {error}\n")
                found["tracebacks"] += 1
                continue
            found["refused or ended" if deeds.ending != "answered" else "answered"] += 1
            found["files written"] += len(deeds.written)
            found["processes left"] += len(deeds.processes)
            found["hangs"] += deeds.duration_s > 2 * DEADLINE_S + ROOM_S
            sys.stdout.write(f"{seed:4} {kind}: {deeds.duration_s:.1f} s, {deeds.ending[:150]}\n")
            if deeds.written or deeds.processes:
                sys.stdout.write(f"     WRONG {deeds.written} {deeds.processes}\n")
            sys.stdout.flush()
    wrong = ("files written", "processes left", "hangs", "tracebacks")
    words = ", ".join(f"{found[key]} {key}" for key in ("answered", "refused or ended", *wrong))
    sys.stdout.write(f"{given.count} networks: {words}\n")
    sys.exit(1 if any(found[key] for key in wrong) else 0)


if __name__ == "__main__":
    main()
