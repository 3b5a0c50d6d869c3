"""The targets of `edgegan export`: objects made of the classes in `listed_targets`, by their names there."""

from __future__ import annotations

from edgegan.export.targets import listed_targets
from edgegan.export.targets.target import Target

TARGETS: dict[str, Target] = {
    name: kind()
    for name, kind in vars(listed_targets).items()
    if isinstance(kind, type) and issubclass(kind, Target)
}
DEFAULT_TARGETS = ("onnx", "tflite")
