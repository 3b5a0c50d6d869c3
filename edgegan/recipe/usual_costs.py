"""The costs that come with edgegan: three counted from widths, two measured on a device or an emulated core."""

from __future__ import annotations

from edgegan.recipe.cost import Cost, Place

MACS = Cost("multiply-adds of one image", "2.7G", "MMACs", 1e6, lambda layers: layers.macs)
PARAMS = Cost("weights", "400k", "thousand parameters", 1e3, lambda layers: layers.parameters)
BYTES = Cost(
    "bytes of the int8 .tflite file", "0.9M", "kB of int8 .tflite", 1e3, lambda layers: layers.bytes
)
MS = Cost(
    "milliseconds of the int8 artefact",
    "host:25",
    "ms",
    1.0,
    place=Place("device", "host", "of ms: host, or the file of a latency table kept by a run"),
)
INSTRUCTIONS = Cost(
    "arm64 instructions of the int8 artefact",
    "cortex-a76:250M",
    "million instructions",
    1e6,
    place=Place(
        "core",
        "cortex-a76",
        "of instructions: cortex-a53, cortex-a72 or cortex-a76",
        emulated=True,
    ),
)
