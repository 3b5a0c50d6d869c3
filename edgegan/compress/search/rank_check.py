"""How well a supernet ranks its sub-networks: a few of them trained alone, judged as the search judged them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from edgegan.channels.program import evaluating
from edgegan.channels.slicing import extract
from edgegan.compress.distill import distill
from edgegan.compress.fidelity import psnr_to_teacher
from edgegan.compress.inherited import Inherited
from edgegan.compress.job import Job, training_settings
from edgegan.compress.search.gan_compression import Found, Sharing
from edgegan.compress.search.network_scores import Score, open_score
from edgegan.compress.search.widths import Genome
from edgegan.console import say
from edgegan.metrics.ranks import spearman
from edgegan.models.blocks import initialise
from edgegan.training.schedule import Schedule, schedule_of


def check_ranks(found: Found) -> Found:
    """Trains a few sub-networks alone, and says how well the supernet had ranked them."""
    job, settings = found.sharing.job, found.sharing.job.recipe.search
    count = min(settings.check_networks, len(found.candidates))
    if count < 2:
        return found
    distilling, steps = job.recipe.distill, settings.check_steps
    schedule = schedule_of(distilling, steps=steps, warmup=steps // 10)
    trained = {**training_settings(distilling, schedule), "compile": False}
    inputs = job.hash(found.inputs, trained, count)
    with (
        job.run.stage("check", inputs) as stage,
        open_score(job, needed=stage.todo) as judge,
    ):
        if stage.todo:
            last = len(found.candidates) - 1
            picked = [found.candidates[round(i * last / (count - 1))] for i in range(count)]
            students = (
                train_alone(found.sharing, each.genome, schedule, inputs, f"{number}/{count}")
                for number, each in enumerate(picked, 1)
            )
            alone = [alone_score(job, student, judge) for student in students]
            stage.note(
                genomes=[list(each.genome) for each in picked],
                shared=[each.fitness for each in picked],
                alone=alone,
                spearman=spearman([each.fitness for each in picked], alone),
            )
    figures = job.run.figures("check")
    say(
        f"rank correlation (Spearman) of the supernet's scores with {count} sub-networks trained alone for "
        f"{settings.check_steps} steps: {figures['spearman']:.2f}"
    )
    return found


def train_alone(
    sharing: Sharing, genome: Genome, schedule: Schedule, inputs: str, number: str
) -> nn.Module:
    """A sub-network that was trained from scratch."""
    job, shared = sharing.job, sharing.shared
    student = extract(shared.module, shared.graph, shared.space.plan(genome))
    torch.manual_seed(job.recipe.seed)
    initialise(student)
    own = job.hash(inputs, genome)
    training = job.training(f"check{number.split('/')[0]}", own, schedule)
    distill(
        student,
        job.cache,
        job.recipe.distill,
        Inherited(),
        replace(training, compiling=False),
        label=f"check {number} alone",
    )
    return student


def alone_score(job: Job, student: nn.Module, judge: Score | None) -> float:
    """What the search goes by, of a network of its own; the PSNR in dB to the teacher where that is no network."""
    if judge is None:
        return psnr_to_teacher(student, job.cache, job.device, split="search")
    with evaluating(student):
        return judge.of(student)
