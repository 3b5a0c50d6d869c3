"""Values that the authors' own code gave for tiny cases with the same weights and pictures, beside ours.

Both published repositories (mit-han-lab/gan-compression 111093f, VITA-Group/GAN-Slimming 10d11b9) were run on these
weights, which a formula makes, so that no random generator comes in; what they computed stands in
reference_values.json. A tensor is told by three sums: of its values, of them times cos(index), of their squares.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.formulas import REFERENCE, digest, fill, linear, picture
from torch import nn

from edgegan.channels.graph import trace_channels
from edgegan.compress.distill import Trainer, make_judge, train_step
from edgegan.compress.search.supernet import Shared, share, supernet_step
from edgegan.compress.search.widths import searched_space
from edgegan.metrics.extractors import inception_extractor
from edgegan.metrics.frechet import frechet_distance
from edgegan.models.discriminator import PatchSpec
from edgegan.models.judges import build_judge
from edgegan.models.recording import hooked
from edgegan.models.resnet.network import ResnetSpec
from edgegan.recipe.distill_section import Distill
from edgegan.recipe.search_section import Supernet
from edgegan.training.lesson import Lesson
from edgegan.training.losses import FeatureMaps
from edgegan.training.objective import Objective, weights_of
from edgegan.training.optimizers import betas_of

GC = REFERENCE["gan_compression"]
FORM = {"block": "separable", "norm": "instance", "separable_norm": "instance"}
TAPS = 4


def normed_bias(name: str) -> bool:
    """Whether a parameter is a bias that an InstanceNorm takes away: its gradient is rounding, which Adam enlarges."""
    return name.endswith("bias") and not name.startswith(("head", "maps"))


def check_weights(named: Iterable[tuple[str, torch.Tensor]], expected: list[list[float]]) -> None:
    """Equal to 1e-6 an element, told by the sums."""
    pairs = list(zip(named, expected, strict=True))
    for (name, tensor), sums in pairs:
        if normed_bias(name):
            continue
        slack = 1e-6 * math.sqrt(tensor.numel()) + 2e-6 * max(map(abs, sums))
        assert digest(tensor) == pytest.approx(sums, abs=slack, rel=0), name


def trainer_of(student: nn.Module, student_wide: int, settings: Distill, paired: bool) -> Trainer:
    fill(student.parameters(), 1000)
    judge_spec = PatchSpec(in_channels=6 if paired else 3, ndf=4, layers=2, conditional=paired)
    judge = build_judge(judge_spec)
    fill(judge.parameters(), 2000)
    maps = FeatureMaps([student_wide] * TAPS, [16] * TAPS, [1.0] * TAPS, settings.tap_pool)
    fill(maps.parameters(), 3000)
    made = make_judge((judge_spec, judge), settings, torch.device("cpu"))
    objective = Objective(weights_of(settings), settings.reconstruction, maps, made, None)
    moved = [*student.parameters(), *maps.parameters()]
    return Trainer(student, objective, torch.optim.Adam(moved, 2e-4, betas=betas_of(settings)))


def settings_for(weights: tuple[float, float, float], mode: str) -> Distill:
    """Reconstruction, adversarial and feature weights as published."""
    return Distill.model_validate(
        {
            "l1_weight": weights[0],
            "gan_weight": weights[1],
            "feature_weight": weights[2],
            "gradient_weight": 0.0,
            "feature_error": "raw",
            "tap_pool": 1,
            "beta1": 0.5,
            "beta2": 0.999,
            "gan_mode": mode,
            "discriminator_learning_rate": 2e-4,
        }
    )


def lessons(paired: bool) -> Iterable[Lesson]:
    teacher = ResnetSpec.from_ngf(4, **FORM).build().eval()
    fill(teacher.parameters(), 0)
    for k in range(3):
        x, b = picture((2, 3, 32, 32), 10 + k), picture((2, 3, 32, 32), 20 + k)
        with hooked(teacher, teacher.taps()) as recorded, torch.no_grad():
            made = teacher(x)
        features = list(recorded.values())
        yield Lesson(x, made, features, truth=b if paired else None, reals=None if paired else b)


def check_steps(found: list[dict[str, Any]], expected: list[dict[str, float]]) -> None:
    names = {"l1": "recon", "gan": "gan", "feature": "distill", "discriminator": "d"}
    for terms, theirs in zip(found, expected, strict=True):
        for ours, their in names.items():
            assert float(terms[ours].detach()) == pytest.approx(theirs[their], rel=2e-5), ours


@pytest.mark.parametrize(
    ("case", "weights", "mode"),
    [
        ("student_unpaired_lsgan", (10.0, 1.0, 0.05), "lsgan"),
        ("student_paired_hinge", (100.0, 1.0, 1.0), "hinge"),
    ],
)
def test_three_steps_of_the_student(
    case: str, weights: tuple[float, float, float], mode: str
) -> None:
    """GAN Compression's ResnetDistiller: terms of each step, weights of student, maps and discriminator behind them."""
    paired = "_paired" in case
    student = ResnetSpec.from_ngf(2, **FORM).build().train()
    trainer = trainer_of(student, 8, settings_for(weights, mode), paired)
    terms = []
    with hooked(student, student.taps()) as recorded:
        for lesson in lessons(paired):
            terms.append(train_step(trainer, recorded, lesson))
    check_steps(terms, GC[case]["steps"])
    check_everything(trainer, GC[case])


def check_everything(trainer: Trainer, expected: dict[str, Any]) -> None:
    objective = trainer.objective
    assert objective.maps is not None
    assert objective.judge is not None
    check_weights(trainer.student.named_parameters(), expected["student"])
    check_weights(objective.maps.named_parameters(), expected["maps"])
    judge = [("head", each) for each in objective.judge.module.parameters()]
    free = [0, 1, 2, 4, 6, 7]  # the biases between are taken away by norms
    check_weights([judge[i] for i in free], [expected["judge"][i] for i in free])


def test_three_steps_of_the_supernet() -> None:
    """ResnetSupernet with one sub-network a step, by its published configs."""
    widest = ResnetSpec.from_ngf(4, **FORM)
    student = widest.build().train()
    settings = settings_for((10.0, 1.0, 0.05), "lsgan")
    trainer = trainer_of(student, 16, settings, paired=False)
    graph = trace_channels(student, torch.zeros(1, 3, 32, 32))
    sharing = Supernet.model_validate({"tied": "published", "round_to": 1, "smallest": 0.25})
    shared: Shared = share(
        student, graph, searched_space(graph, ResnetSpec, sharing), student.taps()
    )
    configs = ["2_3_4_2_3_4_3_2", "4_4_4_4_4_4_4_4", "3_2_3_4_2_2_2_4"]
    terms = []
    with hooked(student, student.taps()) as recorded:
        for config, lesson in zip(configs, lessons(paired=False), strict=True):
            genome = shared.space.genome(widest.with_config(config).plan(graph))
            terms.append(supernet_step(trainer, shared, recorded, lesson, [genome]))
    check_steps(terms, GC["supernet"]["steps"])
    check_everything(trainer, GC["supernet"])


def test_fid_features_and_frechet_distance(tmp_path: Path) -> None:
    """GAN Compression's metric/inception.py (after pytorch-fid) and metric/fid_score.py."""
    state: dict[str, torch.Tensor] = {}
    for index, (name, shape) in enumerate(REFERENCE["fid"]["convolutions"].items()):
        first, wide = 5 * index, [shape[0]]
        state[f"{name}.conv.weight"] = linear(first, shape)
        state[f"{name}.bn.weight"] = 1 + linear(first + 1, wide)
        state[f"{name}.bn.bias"] = linear(first + 2, wide)
        state[f"{name}.bn.running_mean"] = linear(first + 3, wide)
        state[f"{name}.bn.running_var"] = 1 + linear(first + 4, wide).abs()
    torch.save(state, tmp_path / "inception.pth")
    x = (picture((2, 3, 48, 64), 7) + 1) / 2
    for name in ("features_768", "features_2048"):
        extractor = inception_extractor(
            tmp_path / "inception.pth", name.replace("features", "inception").replace("_", "-")
        )
        found = digest(extractor.call(x))
        assert found == pytest.approx(REFERENCE["fid"][name], rel=1e-5, abs=1e-2), name
    a = picture((40, 6), 2).double().numpy()
    b = picture((50, 6), 5).numpy() * 1.3 + 0.2
    assert frechet_distance(a, b.astype(np.float64)) == pytest.approx(
        REFERENCE["fid"]["frechet"], rel=1e-5
    )
