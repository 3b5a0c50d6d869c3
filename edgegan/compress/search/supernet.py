"""The once-for-all generator: every sub-network is the leading channels of one set of weights."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from edgegan.channels.groups import ChannelGraph, Segment
from edgegan.channels.importance import order_channels, permute, score_channels
from edgegan.channels.program import evaluating
from edgegan.channels.slicing import run_sliced, slice_parameters
from edgegan.channels.space import Widths
from edgegan.channels.tapped import tap_segments
from edgegan.compress.distill import Trainer, make_trainer
from edgegan.compress.fidelity import psnr_to_teacher
from edgegan.compress.inherited import Inherited
from edgegan.compress.search.widths import Genome, WidthSpace, width_space
from edgegan.compress.teacher.cache import Cache, sample
from edgegan.distributed import average_gradients, rank
from edgegan.models.recording import hooked
from edgegan.models.spec import Spec
from edgegan.recipe.distill_section import Distill
from edgegan.recipe.search_section import Supernet
from edgegan.training.lesson import Lesson
from edgegan.training.loop import Terms, Training, run_steps
from edgegan.training.speed import choose_speed, in_float32

QUICK_VALIDATION = 6
SORTING_BATCHES = 4


@dataclass(frozen=True)
class Shared:
    """A generator whose sub-networks share its weights."""

    module: nn.Module
    graph: ChannelGraph
    space: WidthSpace
    taps: dict[str, tuple[Segment, ...]]

    def forward(self, plan: Widths, x: torch.Tensor) -> torch.Tensor:
        """The output of the sub-network of `plan`."""
        output: torch.Tensor = run_sliced(
            self.module, slice_parameters(self.module, self.graph, plan), x
        )
        return output

    def columns(self, plan: Widths) -> list[torch.Tensor]:
        """The channels that the sub-network has at each tap, as indices of the widest network's."""
        return [leading(self.graph, segments, plan) for segments in self.taps.values()]


def share(module: nn.Module, graph: ChannelGraph, space: WidthSpace, taps: list[str]) -> Shared:
    """A traced generator with its taps; raises ConfigError where a tap was not met."""
    return Shared(module, graph, space, {name: tap_segments(graph, name) for name in taps})


def share_whole(module: nn.Module, graph: ChannelGraph, spec: type[Spec], round_to: int) -> Shared:
    """A traced generator with the space of all its narrower forms, to be priced: no taps."""
    return share(module, graph, width_space(graph, spec, 0.0, round_to), [])


def leading(graph: ChannelGraph, segments: tuple[Segment, ...], plan: Widths) -> torch.Tensor:
    """Indices of the entries of a dimension that a plan of widths keeps."""
    parts, start = [], 0
    for each in segments:
        size = graph.groups[each.group].size
        parts.append(start + torch.arange(plan.get(each.group, size) * each.repeat))
        start += size * each.repeat
    return torch.cat(parts)


def genomes_of_step(space: WidthSpace, settings: Supernet, seed: int, step: int) -> list[Genome]:
    """The sub-networks of one step, a function of seed, step and process: uniform as in the paper, or a sandwich
    (Yu & Huang 2019) of the widest, the narrowest and random ones."""
    bread = [space.widest(), space.narrowest()] if settings.sampling == "sandwich" else []
    generator = random.Random(f"widths:{seed}:{step}:{rank()}")
    drawn = [space.draw(generator) for _ in range(settings.networks - len(bread))]
    return [*bread[:1], *drawn, *bread[1:]]


def supernet_step(
    trainer: Trainer,
    shared: Shared,
    recorded: dict[str, torch.Tensor],
    lesson: Lesson,
    genomes: list[Genome],
) -> Terms:
    """One step of all given sub-networks together; the discriminator judges the last random one."""
    judged = genomes[min(1, len(genomes) - 1)]
    terms: Terms = {}
    trainer.optimizer.zero_grad(set_to_none=True)
    for genome in genomes:
        plan = shared.space.plan(genome)
        output = shared.forward(plan, lesson.x)
        found = trainer.objective.terms(
            output, in_float32(list(recorded.values())), lesson, shared.columns(plan)
        )
        (found["loss"] / len(genomes)).backward()
        for name, value in found.items():
            terms[name] = terms.get(name, 0) + value.detach() / len(genomes)
        if genome == judged:
            shown = output.detach()
    average_gradients(trainer.parameters())
    trainer.optimizer.step()
    return {**terms, **trainer.objective.judge_step(shown, lesson)}


def train_supernet(
    shared: Shared,
    cache: Cache,
    settings: Distill,
    sharing: Supernet,
    inherited: Inherited,
    start: Mapping[str, Any] | None,
    training: Training,
) -> Trainer:
    """Trains every sub-network of `shared` in place, from the states of a pre-distillation (`start`) if any, resuming
    its checkpoint; returns what trained it."""
    device = training.device
    torch.manual_seed(training.seed)
    if start is not None:
        shared.module.load_state_dict(start["student"])
    trainer = make_trainer(shared.module, cache, settings, inherited, device)
    trainer.take_over(start or {})
    shared.module.train()
    speed = choose_speed(settings, device, compiling=False)  # shapes change with every step
    with hooked(shared.module, cache.taps) as recorded, speed.attached(shared.module):

        def take_step(step: int) -> Terms:
            trainer.set_rates(training.schedule, step)
            lesson = sample(cache, settings, training, step)
            genomes = genomes_of_step(shared.space, sharing, training.seed, step)
            return supernet_step(trainer, shared, recorded, lesson, genomes)

        def psnr_of(genome: Genome) -> float:
            plan = shared.space.plan(genome)
            with evaluating(shared.module):
                run = partial(shared.forward, plan)
                return psnr_to_teacher(run, cache, device, count=QUICK_VALIDATION)

        def quality(_: int) -> dict[str, float]:
            ends = {"widest": shared.space.widest(), "narrowest": shared.space.narrowest()}
            return {f"{name}_psnr_db": psnr_of(genome) for name, genome in ends.items()}

        run_steps("supernet", trainer, take_step, quality, training)
    shared.module.eval()
    return trainer


def sort_channels(
    shared: Shared,
    trainer: Trainer,
    cache: Cache,
    settings: Distill,
    method: str,
    training: Training,
) -> None:
    """Puts the important channels of every group first, where narrow sub-networks take theirs; the widest network's
    output stays. The feature maps follow."""
    if method == "none":
        return
    scores = score_channels(
        shared.module,
        shared.graph,
        method,  # type: ignore[arg-type]
        loss=lambda: distillation_loss(shared, trainer, cache, settings, training),
    )
    orders = order_channels(scores)
    permute(shared.module, shared.graph, orders)
    maps = trainer.objective.maps
    if maps is None:
        return
    with torch.no_grad():
        for adapt, segments in zip(maps.maps, shared.taps.values(), strict=True):
            columns, start = [], 0
            for each in segments:
                size = shared.graph.groups[each.group].size
                order = orders.get(each.group, torch.arange(size))
                inner = torch.arange(each.repeat)
                columns.append(start + (order[:, None] * each.repeat + inner).flatten())
                start += size * each.repeat
            adapt.weight.copy_(adapt.weight[:, torch.cat(columns)])


def distillation_loss(
    shared: Shared,
    trainer: Trainer,
    cache: Cache,
    settings: Distill,
    training: Training,
) -> torch.Tensor:
    """The widest network's loss over a few batches, with gradients."""
    losses = []
    with hooked(shared.module, cache.taps) as recorded:
        for step in range(SORTING_BATCHES):
            lesson = sample(cache, settings, replace(training, flip=False), step)
            output = shared.module(lesson.x)
            losses.append(trainer.objective.terms(output, list(recorded.values()), lesson)["loss"])
    return torch.stack(losses).mean()
