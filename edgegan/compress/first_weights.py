"""A student's first weights where they are not random: the teacher's own channels, as before GAN Compression's
pre-distillation, or an earlier student's."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from edgegan.channels.graph import trace_channels
from edgegan.channels.importance import strongest_channels
from edgegan.channels.rules import InstanceNorms
from edgegan.channels.slicing import extract
from edgegan.console import say
from edgegan.errors import ConfigError
from edgegan.models.spec import Spec
from edgegan.models.zoo import load_generator, parse_spec
from edgegan.package import is_package
from edgegan.run import package_of

State = dict[str, torch.Tensor]


def start_as_teacher(student: nn.Module, teacher: Path, spec: Spec, example: torch.Tensor) -> None:
    """Gives a student of `spec` the weights of its teacher's channels of largest summed absolute weight, in place.

    Scales and shifts of instance norms that the teacher does not have stay one and zero. Raises ConfigError where the
    two do not share their structure.
    """
    state = strongest_state(teacher, spec, example)
    own = student.state_dict()
    neutral = {
        f"{name}.{leaf}"
        for name, layer in student.named_modules()
        if isinstance(layer, InstanceNorms)
        for leaf in ("weight", "bias")
    }
    for key in (*own, *state):
        ours, theirs = own.get(key), state.get(key)
        fits = ours is not None and theirs is not None and ours.shape == theirs.shape
        if not fits and (theirs is not None or key not in neutral):
            raise ConfigError(
                f"student.start teacher: the student and its teacher do not share '{key}'; set student.block and "
                "student.norm to those of the teacher, or student.start random"
            )
    student.load_state_dict({**own, **state})
    kept = sum(value.numel() for value in state.values())
    say(f"the student starts from {kept:,} weights of its teacher's strongest channels")


def strongest_state(teacher: Path, spec: Spec, example: torch.Tensor) -> State:
    """The teacher's weights at its strongest channels, as many as the spec's widths."""
    module = load_generator(teacher)[1]
    graph = trace_channels(module, example)
    try:
        plan = strongest_channels(module, graph, spec.plan(graph))
    except ConfigError as error:
        raise ConfigError(
            f"student.start teacher: {error}; lower student.scale or student.widths, or set student.start random"
        ) from error
    return extract(module, graph, plan).state_dict()


def earlier_student(folder: Path, family: str) -> tuple[Spec, nn.Module]:
    """The student of a run or package that learns on, with its spec.

    Raises ConfigError where there is none or it is of another family than its teacher.
    """
    package = package_of(folder)
    if package is None or not is_package(package):
        raise ConfigError(
            f"student.start {folder}: neither a run with a student nor a package; give random, teacher or such a folder"
        )
    config, module = load_generator(package)
    if config.family != family:
        raise ConfigError(
            f"student.start {folder}: a {config.family} network, the teacher is of family {family}"
        )
    return parse_spec(config.family, config.spec), module
