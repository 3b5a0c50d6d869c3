"""Terms of the distillation objective: what each looks at, and how it is made for a training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from edgegan.metrics.perceptual import Perceptual
from edgegan.training.judge import Judge
from edgegan.training.lesson import Lesson
from edgegan.training.losses import FeatureMaps, gradient_l1, relation


@dataclass(frozen=True)
class Seen:
    """One output (N, C, H, W) of a student, and what it is held against.

    `taps` are the student's features; `columns` the channels that a sub-network has of them, None for all.
    """

    output: torch.Tensor
    target: torch.Tensor
    taps: list[torch.Tensor]
    lesson: Lesson
    columns: list[torch.Tensor] | None = None


Term = Callable[[Seen], torch.Tensor]


@dataclass(frozen=True)
class Given:
    """What terms are made from: all weights by name, and what a training has; None where it has none."""

    weights: Mapping[str, float]
    maps: FeatureMaps | None = None
    perceptual: Perceptual | None = None
    judge: Judge | None = None


@dataclass(frozen=True)
class Loss:
    """A kind of term. `make` gives the term, or None where a training goes without.

    A term that is a torch module is trained, saved and resumed with the student. `needs_taps`: it compares features,
    so the teacher's are kept.
    """

    make: Callable[[Given], Term | None]
    needs_taps: bool = False


def make_relation(given: Given) -> Term | None:
    """Where it has weight and features were kept."""
    if given.weights["relation"] == 0:
        return None
    return lambda seen: relation(seen.taps, seen.lesson.features)


def make_feature(given: Given) -> Term | None:
    """Where there are maps."""
    maps = given.maps
    if maps is None:
        return None
    return lambda seen: maps(seen.taps, seen.lesson.features, seen.columns)


def make_perceptual(given: Given) -> Term | None:
    """Where there is a network to look through."""
    distance = given.perceptual
    return None if distance is None else lambda seen: distance(seen.output, seen.target)


def make_gan(given: Given) -> Term | None:
    """Where there is a discriminator."""
    judge = given.judge
    return None if judge is None else lambda seen: judge.fooled_by(seen.lesson.x, seen.output)


def make_discriminator_feature(given: Given) -> Term | None:
    """Where it has weight and there is a discriminator."""
    judge = given.judge
    if judge is None or given.weights["discriminator_feature"] == 0:
        return None
    return lambda seen: judge.unlike(seen.lesson.x, seen.output, seen.lesson.real)


L1 = Loss(lambda _: lambda seen: (seen.output - seen.target).abs().mean())
GRADIENT = Loss(lambda _: lambda seen: gradient_l1(seen.output, seen.target))
FEATURE = Loss(make_feature, needs_taps=True)
RELATION = Loss(make_relation, needs_taps=True)
PERCEPTUAL = Loss(make_perceptual)
GAN = Loss(make_gan)
DISCRIMINATOR_FEATURE = Loss(make_discriminator_feature)
