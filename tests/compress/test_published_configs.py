"""GAN Compression's width configs: spaces of their numbers, strings in and out, one taken without a search."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from support.commands import edgegan

from edgegan.channels.graph import trace_channels
from edgegan.channels.groups import ChannelGraph
from edgegan.compress.costs.counted import tabulate
from edgegan.compress.costs.network import NetworkCosts
from edgegan.compress.search.widths import published_space
from edgegan.errors import ConfigError
from edgegan.files import read_json
from edgegan.models.packaging import store
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.spade.network import SpadeSpec
from edgegan.models.spec import Spec
from edgegan.models.unet.network import UnetSpec
from edgegan.models.zoo import build
from edgegan.package import read_config
from edgegan.recipe.loading import load_recipe
from edgegan.run import Run

# Of gan-compression's configs/resnet_configs.py.
CHANNELS_32 = [[32, 24, 16]] * 8
CHANNELS_48 = [[48, 32], [48, 32], *[[48, 40, 32]] * 4, *[[48, 32, 24, 16]] * 2]
PUBLISHED = [  # true MACs; by the authors' counting they are those of the published tables (tests/metrics)
    (32, CHANNELS_32, "16_16_32_16_32_32_16_16", 356_867, 1_845_755_904),
    (48, CHANNELS_48, "32_32_48_32_48_48_16_16", 822_051, 4_055_629_824),
    (48, CHANNELS_48, "32_32_48_32_32_48_24_24", 780_819, 4_031_250_432),
    (48, CHANNELS_48, "32_32_48_32_48_32_16_16", 746_211, 3_746_562_048),
]


def resnet(ngf: int) -> ResnetSpec:
    return ResnetSpec.from_ngf(ngf, block="separable")


def graph_of(spec: Spec, x: torch.Tensor) -> ChannelGraph:
    return trace_channels(spec.build(), x)


@pytest.mark.parametrize(
    ("ngf", "choices", "size"), [(32, CHANNELS_32, 6561), (48, CHANNELS_48, 5184)]
)
def test_spaces_are_as_large_as_published(ngf: int, choices: list[list[int]], size: int) -> None:
    graph = graph_of(resnet(ngf), torch.zeros(1, 3, 32, 32))
    assert published_space(graph, ResnetSpec, 0.5, 8, choices).size() == size
    assert (
        published_space(graph, ResnetSpec, 0.5, 8).size() == len(range(ngf // 2, ngf + 1, 8)) ** 8
    )


@pytest.mark.parametrize(("ngf", "choices", "config", "parameters", "macs"), PUBLISHED)
def test_costs_of_published_configs(
    ngf: int, choices: list[list[int]], config: str, parameters: int, macs: int
) -> None:
    spec = resnet(ngf)
    with torch.device("meta"):
        module, x = spec.build(), torch.zeros(1, 3, 256, 256)
    graph = graph_of(spec, torch.zeros(1, 3, 32, 32))
    space = published_space(graph, ResnetSpec, 0.5, 8, choices)
    genome = space.genome(spec.with_config(config).plan(graph))
    assert space.describe(genome) == config
    assert all(number in row for number, row in zip(genome, choices, strict=True))
    costs = NetworkCosts(tabulate(module, x, graph)).at(space.plan(genome))
    assert costs["params"] == parameters
    assert costs["macs"] == macs


@pytest.mark.parametrize(
    ("spec", "x"),
    [
        (resnet(16), torch.zeros(1, 3, 32, 32)),
        (SpadeSpec.from_ngf(8, classes=4, block="separable"), torch.zeros(1, 5, 128, 128)),
    ],
)
def test_any_sub_network_is_its_string(spec: ResnetSpec | SpadeSpec, x: torch.Tensor) -> None:
    graph = graph_of(spec, x)
    space = published_space(graph, type(spec), 0.25, 2)
    assert len(space.units) == 8
    chance = random.Random(0)
    for _ in range(5):
        genome = space.draw(chance)
        narrowed = spec.narrowed(graph, space.plan(genome))
        assert narrowed.to_config() == space.describe(genome)
        assert space.genome(spec.with_config(space.describe(genome)).plan(graph)) == genome


def test_what_has_no_configs_is_refused() -> None:
    six = ResnetSpec.from_ngf(8, 6)
    graph = graph_of(six, torch.zeros(1, 3, 32, 32))
    with pytest.raises(
        ConfigError, match=r"no number of a published config gives ResnetSpec .* number 5"
    ):
        published_space(graph, ResnetSpec, 0.5, 4)
    with pytest.raises(ConfigError, match="of 9 blocks, this generator has 6"):
        six.with_config("8_8_8_8_8_8_8_8")
    unet = graph_of(UnetSpec.from_ngf(8, 5), torch.zeros(1, 3, 64, 64))
    with pytest.raises(ConfigError, match="UnetSpec has no published width configs"):
        published_space(unet, UnetSpec, 0.5, 4)
    nine = graph_of(resnet(8), torch.zeros(1, 3, 32, 32))
    for wrong in ([[8, 4]] * 7, [[16, 8]] * 8):
        with pytest.raises(ConfigError, match=r"supernet\.choices: 8 rows are needed"):
            published_space(nine, ResnetSpec, 0.5, 4, wrong)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["supernet.choices=[[8, 4]]"], "choices needs tied published"),
        (["search.widths=8_8_8_8_8_8_8_8"], "reads this as one number: write it in quotes"),
        (['search.widths="8_8_8_8_8_8_8_8"'], r"search\.widths means nothing for method distill"),
        (["method=gan-compression"], "needs a budget"),
    ],
)
def test_keys_that_mean_nothing_are_refused(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe("resnet", settings)


TINY = {
    "data.size": [32, 32],
    "data.crops": 2,
    "data.validation_images": 1,
    "student.scale": 1.0,
    "student.round_to": 1,
    "student.norm": "instance",
    "distill.steps": 2,
    "supernet.steps": 1,
    "supernet.sampling": "uniform",
    "supernet.networks": 1,
    "supernet.tied": "published",
    "supernet.choices": [[4, 2], *[[4]] * 6, [4, 2]],
    "search.images": 2,
    "search.check_networks": 0,
    "search.finetune_steps": 1,
}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mobile ResNet of nine blocks, four channels wide."""
    folder = tmp_path_factory.mktemp("teacher") / "teacher"
    folder.mkdir()
    spec = resnet(4)
    about = {"name": "teacher", "source": {"changes": []}, "licence": ""}
    store(folder, "resnet", spec, build("resnet", spec), (32, 32), about, None)
    return folder


def compress(teacher: Path, pictures: Path, run: Path, *more: str, check: bool = True) -> str:
    """What a tiny run prints."""
    given = [f"--set={key}={json.dumps(value)}" for key, value in TINY.items()]
    where = ("--method", "gan-compression", "--teacher", teacher, "--data", pictures, "-o", run)
    done = edgegan("compress", "resnet", *given, *where, *more, check=check)
    return done.stdout + done.stderr


def test_the_whole_space_is_searched_and_its_string_printed(
    tmp_path: Path, teacher: Path, pictures: Path
) -> None:
    said = compress(teacher, pictures, tmp_path / "run", "--budget-macs", "1G")
    figures = Run.open(tmp_path / "run").figures("search")
    assert figures["evaluated"] == 4
    assert "all 4 sub-networks within the budget were evaluated" in said
    assert f"its published config, for --widths: {figures['config']}" in said
    front = read_json(tmp_path / "run/stages/search/front.json")
    assert "_".join(map(str, front["chosen"]["genome"])) == figures["config"]


def test_a_config_is_taken_without_a_search(tmp_path: Path, teacher: Path, pictures: Path) -> None:
    said = compress(teacher, pictures, tmp_path / "run", "--widths", "2_4_4_4_4_4_4_2")
    assert "search: 2_4_4_4_4_4_4_2 was given" in said
    figures = Run.open(tmp_path / "run").figures("search")
    assert (figures["evaluated"], figures["config"]) == (1, "2_4_4_4_4_4_4_2")
    spec = ResnetSpec.model_validate(read_config(tmp_path / "run/student").spec)
    assert spec.to_config() == "2_4_4_4_4_4_4_2"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--widths", "8_4_4_4_4_4_4_2"), "'stem' has 8 channels, the supernet 4"),
        (("--widths", "2_4_4_4_4_4_4_2", "--budget-macs", "1k"), "raise the budget, or set none"),
        (("--widths", "2_4_4"), "is not 6 or 8 positive integers"),
    ],
)
def test_configs_that_do_not_fit_are_refused_at_once(
    tmp_path: Path, teacher: Path, pictures: Path, more: tuple[str, ...], message: str
) -> None:
    assert message in compress(teacher, pictures, tmp_path / "run", *more, check=False)
    assert not (tmp_path / "run/stages/supernet").exists()
