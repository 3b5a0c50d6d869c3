"""What a recipe may ask for: the methods of `edgegan compress`, and the costs that a budget can limit.

One line of `COSTS` is a kind of cost: its budget, its option, its place in the search, in slimming, in the front and in
the report follow from it.
"""

from __future__ import annotations

from typing import Literal

from edgegan.recipe.cost import Cost, Place

Method = Literal["distill", "gan-compression", "gan-slimming"]

DEVICE = Place("device", "host", "of ms: host, or the file of a latency table kept by a run")
CORE = Place(
    "core", "cortex-a76", "of instructions: cortex-a53, cortex-a72 or cortex-a76", emulated=True
)
COSTS: dict[str, Cost] = {
    "macs": Cost("multiply-adds of one image", "2.7G", "MMACs", 1e6, lambda each: each.macs),
    "params": Cost("weights", "400k", "thousand parameters", 1e3, lambda each: each.parameters),
    "bytes": Cost(
        "bytes of the int8 .tflite file", "0.9M", "kB of int8 .tflite", 1e3, lambda each: each.bytes
    ),
    "ms": Cost("milliseconds of the int8 artefact", "host:25", "ms", 1.0, place=DEVICE),
    "instructions": Cost(
        "arm64 instructions of the int8 artefact",
        "cortex-a76:250M",
        "million instructions",
        1e6,
        place=CORE,
    ),
}


def is_counted(kind: str | None) -> bool:
    """Whether widths alone tell this cost."""
    return kind is not None and COSTS[kind].count is not None


def flag(kind: str) -> str:
    """The option of `edgegan compress` that sets a budget."""
    return f"--budget-{kind}"


def flags() -> str:
    """All of them, in words."""
    *first, last = map(flag, COSTS)
    return f"{', '.join(first)} or {last}"
