"""What int8 means for a generator: the policies, and what a user asks for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from edgegan.errors import ConfigError, nearest
from edgegan.export.calibrate import METHODS

POLICIES = {
    "auto": "TFLite: static where norms fold into convolutions, dynamic where they look at each picture; "
    "ONNX: the fastest static form that keeps the quality, measured",
    "static": "weights and activations int8 throughout, ranges from calibration images",
    "dynamic": "dense convolutions int8, their inputs quantised as they come; the rest float",
    "mixed": "static in the trunk; at the edges, above its resolution, dynamic (TFLite) or float (ONNX)",
    "int16x8": "int8 weights, int16 activations: near float quality on unoptimised kernels (TFLite only)",
}
STORED_AS = {
    "static": "static-int8",
    "dynamic": "dynamic-int8",
    "mixed": "mixed-int8",
    "int16x8": "int16x8",
}


@dataclass(frozen=True)
class Int8Options:
    """How the int8 artefacts of an export are made."""

    policy: str = "auto"
    method: str = "auto"
    sensitivity: bool = False
    max_drop_db: float | None = None

    def __post_init__(self) -> None:
        """Raises ConfigError naming a wrong value."""
        for option, value, allowed in (
            ("--int8", self.policy, list(POLICIES)),
            ("--calibration-method", self.method, list(METHODS)),
        ):
            if value not in allowed:
                hint = nearest(value, allowed)
                raise ConfigError(f"{option} {value}: not one of {', '.join(allowed)}{hint}")
        if self.max_drop_db is not None and not self.max_drop_db >= 0:
            raise ConfigError(f"--max-drop {self.max_drop_db:g}: give decibels, 0 or more")

    def as_dict(self) -> dict[str, Any]:
        """For export.json."""
        return asdict(self)
