"""The supernet: its steps are the extracted networks' own, and sorting channels changes nothing but their order."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from support.training import small_training

from edgegan.channels.graph import trace_channels
from edgegan.channels.slicing import extract
from edgegan.compress.distill import make_trainer
from edgegan.compress.fidelity import psnr_to_teacher
from edgegan.compress.inherited import Inherited
from edgegan.compress.search.fitness import Fitness
from edgegan.compress.search.supernet import (
    Shared,
    genomes_of_step,
    share,
    sort_channels,
    supernet_step,
)
from edgegan.compress.search.widths import width_space
from edgegan.compress.teacher.cache import Cache
from edgegan.errors import ConfigError
from edgegan.files import write_json
from edgegan.models.blocks import initialise
from edgegan.models.recording import hooked
from edgegan.models.resnet.network import ResnetGenerator, ResnetSpec
from edgegan.package import ImageIO
from edgegan.recipe.distill_section import Distill
from edgegan.recipe.search_section import Supernet
from edgegan.training.lesson import Lesson
from edgegan.training.losses import relation

CPU = torch.device("cpu")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """Random pictures and features, as a teacher might have made them."""
    chance = np.random.default_rng(0)
    for split, count in (("train", 6), ("validation", 2), ("search", 3)):
        x = chance.integers(0, 256, (count, 3, 32, 32), np.uint8)
        np.save(tmp_path / f"{split}_input.npy", x)
        y = chance.uniform(-1, 1, x.shape).astype(np.float16)
        np.save(tmp_path / f"{split}_output.npy", y)
    taps = ["down2", "blocks.2"]
    for index in range(2):
        features = chance.standard_normal((6, 12, 4, 4)).astype(np.float16)
        np.save(tmp_path / f"tap{index}.npy", features)
    about = {"input": ImageIO().model_dump(mode="json"), "taps": taps, "tap_mean_squares": [1, 2]}
    write_json(tmp_path / "cache.json", about)
    return Cache(tmp_path)


@pytest.fixture
def shared(cache: Cache) -> Shared:
    torch.manual_seed(0)
    spec = ResnetSpec.from_ngf(16, 3, block="separable", norm="instance_affine")
    module = ResnetGenerator(spec)
    initialise(module)
    graph = trace_channels(module, torch.zeros(1, 3, 32, 32))
    return share(module, graph, width_space(graph, ResnetSpec, 0.25, 8), cache.taps)


def a_batch(cache: Cache) -> Lesson:
    features = [torch.from_numpy(array[:2].copy()).float() for array in cache.features]
    outputs = torch.from_numpy(cache.outputs[:2].copy()).float()
    return Lesson(cache.load(cache.inputs[:2], CPU), outputs, features)


def test_sandwich_and_uniform(shared: Shared) -> None:
    space = shared.space
    made = genomes_of_step(space, Supernet(networks=4), 0, 7)
    assert made[0] == space.widest()
    assert made[-1] == space.narrowest()
    assert made == genomes_of_step(space, Supernet(networks=4), 0, 7)
    assert made[1:3] != genomes_of_step(space, Supernet(networks=4), 0, 8)[1:3]
    assert len(genomes_of_step(space, Supernet(sampling="uniform", networks=1), 0, 7)) == 1


def test_a_step_is_the_sum_of_the_networks_own_gradients(shared: Shared, cache: Cache) -> None:
    """Every sub-network, extracted, gives the loss and the gradient that it has inside the supernet."""
    settings = Distill(learning_rate=0.0001, feature_weight=0.5, relation_weight=0.1)
    trainer = make_trainer(shared.module, cache, settings, Inherited(), CPU)
    batch, genomes = a_batch(cache), genomes_of_step(shared.space, Supernet(), 0, 0)
    alone, first_weight = [], torch.zeros_like(shared.module.stem.weight)  # type: ignore[attr-defined]
    for genome in genomes:
        plan = shared.space.plan(genome)
        module = extract(shared.module, shared.graph, plan)
        with hooked(module, cache.taps) as recorded:
            output = module(batch.x)
            columns = shared.columns(plan)
            terms = trainer.objective.terms(output, list(recorded.values()), batch, columns)
        terms["loss"].backward()
        gradient = module.stem.weight.grad  # type: ignore[attr-defined]
        first_weight[: len(gradient)] += gradient / len(genomes)
        alone.append(float(terms["loss"].detach()))
    trainer.optimizer.zero_grad(set_to_none=True)
    with hooked(shared.module, cache.taps) as recorded:
        found = supernet_step(trainer, shared, recorded, batch, genomes)
    assert float(found["loss"]) == pytest.approx(sum(alone) / len(alone), rel=1e-5)
    ours = shared.module.stem.weight.grad  # type: ignore[attr-defined]
    assert torch.allclose(ours, first_weight, atol=1e-6)


@pytest.mark.parametrize("method", ["l1", "taylor"])
def test_sorting_keeps_the_widest_network_and_its_maps(
    shared: Shared, cache: Cache, method: str
) -> None:
    settings = Distill(feature_weight=1.0)
    trainer = make_trainer(shared.module, cache, settings, Inherited(), CPU)
    batch = a_batch(cache)

    def terms() -> dict[str, torch.Tensor]:
        with hooked(shared.module, cache.taps) as recorded, torch.no_grad():
            output = shared.module(batch.x)
            return trainer.objective.terms(output, list(recorded.values()), batch)

    before, weights = terms(), copy.deepcopy(shared.module.state_dict())
    sort_channels(shared, trainer, cache, settings, method, small_training(Path(), flip=False))
    after = terms()
    assert any(not torch.equal(weights[k], v) for k, v in shared.module.state_dict().items())
    for name, value in before.items():
        assert float(after[name]) == pytest.approx(float(value), rel=1e-4), name


def test_fitness_is_that_of_the_extracted_network(shared: Shared, cache: Cache) -> None:
    plan = shared.space.plan(shared.space.uniform(0.5))
    alone = psnr_to_teacher(extract(shared.module, shared.graph, plan), cache, split="search")
    assert Fitness(shared, cache, "psnr", None, CPU)(plan) == pytest.approx(alone)


def test_batch_norm_gets_statistics_of_its_own(cache: Cache) -> None:
    spec = ResnetSpec.from_ngf(16, 3, norm="batch")
    module = ResnetGenerator(spec)
    graph = trace_channels(module, torch.zeros(1, 3, 32, 32))
    shared = share(module, graph, width_space(graph, ResnetSpec, 0.5, 8), cache.taps)
    before = copy.deepcopy(module.state_dict())
    score = Fitness(shared, cache, "psnr", None, CPU)(shared.space.plan(shared.space.narrowest()))
    assert torch.isfinite(torch.tensor(score))
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_relation_needs_no_equal_widths() -> None:
    torch.manual_seed(0)
    a = torch.rand(2, 5, 24, 24)
    mixed = torch.linalg.qr(torch.rand(5, 5))[0] @ a.flatten(2)
    assert float(relation([a], [mixed.view_as(a)])) == pytest.approx(0, abs=1e-5)
    assert 0.1 < float(relation([a], [torch.rand(2, 9, 24, 24)])) < 2


def test_unknown_tap(shared: Shared) -> None:
    with pytest.raises(ConfigError, match="tap 'nowhere'"):
        share(shared.module, shared.graph, shared.space, ["nowhere"])
