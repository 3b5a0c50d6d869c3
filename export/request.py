"""What a user asks an export for, beside targets and precisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from edgegan.export.policy import Int8Options
from edgegan.export.signature import Signature


@dataclass(frozen=True)
class ExportOptions:
    """`which` of a run: student, teacher or both. Several `sizes` (height, width) make one artefact with a signature
    for each, or one of any size where the target has such, as `dynamic` does. `calibration` is a folder of images for
    int8 ranges, in place of the run's training crops. `overwrite` replaces artefacts of other inputs. `force` keeps
    a student that is no nearer to its teacher than the untouched input."""

    which: str = "both"
    sizes: tuple[tuple[int, int], ...] = ()
    calibration: Path | None = None
    int8: Int8Options = field(default_factory=Int8Options)
    signature: Signature = field(default_factory=Signature)
    dynamic: bool = False
    overwrite: bool = False
    force: bool = False
