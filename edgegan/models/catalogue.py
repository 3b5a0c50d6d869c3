"""The published generators of all families, and what a generator costs."""

from __future__ import annotations

import torch

from edgegan.metrics.complexity import Complexity, measure
from edgegan.models.contract import Published, check_family
from edgegan.models.spec import Spec
from edgegan.models.zoo import FAMILIES
from edgegan.package import input_shape


def catalogue() -> list[tuple[str, Published]]:
    """Every generator that edgegan builds, imports and compresses, with the name of its family.

    Raises ConfigError for a family that forgot something.
    """
    for family in FAMILIES.values():
        check_family(family)
    return [(name, each) for name, family in FAMILIES.items() for each in family.published]


def measure_spec(spec: Spec, size: tuple[int, int]) -> Complexity:
    """Costs of a generator of this spec at a height and width; nothing is computed, so it takes no memory."""
    with torch.device("meta"):
        module = spec.build()
        example = torch.empty(input_shape(spec.takes, size))
    return measure(module, example)
