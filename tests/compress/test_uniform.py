"""Plain distillation to a budget: the largest uniform scale that meets every budget, or exit 3."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch
from support.commands import SIZE, compress_arguments, edgegan

from edgegan.channels.graph import trace_channels
from edgegan.compress.costs import measured
from edgegan.compress.costs.counted import tabulate
from edgegan.compress.form import SEARCH_STEPS, Form, fitting_scale
from edgegan.compress.pipeline import METHODS, compress
from edgegan.errors import BudgetError, ConfigError
from edgegan.metrics.complexity import measure
from edgegan.models.packaging import import_to_package
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.zoo import load_generator
from edgegan.package import read_config
from edgegan.recipe.kinds import COSTS, Method, flag
from edgegan.recipe.loading import load_recipe, parse_recipe
from edgegan.recipe.schema import Recipe
from edgegan.run import STUDENT

TINY = ["data.size=[32,32]", "data.crops=4", "data.validation_images=1", "distill.steps=2"]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory, resnet_checkpoint: Path) -> Path:
    folder = tmp_path_factory.mktemp("uniform") / "teacher"
    import_to_package(resnet_checkpoint, folder, size=(SIZE, SIZE))
    return folder


def recipe_for(teacher: Path, pictures: Path, *more: str) -> Recipe:
    return load_recipe("resnet", [*TINY, f"teacher={teacher}", f"data.train={pictures}", *more])


def form() -> Form:
    wide = ResnetSpec.from_ngf(16, 3)
    return Form(
        lambda scale: wide.scaled(scale, 8, block="separable", norm="instance_affine"),
        (1, 3, SIZE, SIZE),
    )


def test_every_method_ends_in_the_student() -> None:
    assert tuple(METHODS) == get_args(Method)
    for parts in METHODS.values():
        names = [part.name for part in parts]
        assert names[-1] == STUDENT and len(set(names)) == len(names)


def test_the_scale_is_the_largest_that_fits() -> None:
    """Costs are those of the network itself, and one step further up they are above the budget."""
    own, limits = form(), {"macs": 4e6, "bytes": 1e9}
    scale, costs = fitting_scale(own, own.network(1.0), limits)
    network = own.network(scale)
    counted = measure(network.module, torch.zeros(own.shape), cross_check=False)
    assert costs["macs"] == counted.macs <= 4e6
    assert costs["params"] == counted.parameters
    wider = own.network(scale + 2 * 0.5**SEARCH_STEPS)
    assert wider.costs.at({})["macs"] > 4e6
    assert fitting_scale(own, own.network(1.0), {"macs": 1e12})[0] == 1.0


def test_every_budget_holds() -> None:
    own = form()
    widest = own.network(1.0)
    by_macs, _ = fitting_scale(own, widest, {"macs": 4e6})
    by_params, costs = fitting_scale(own, widest, {"params": 20_000})
    both, _ = fitting_scale(own, widest, {"macs": 4e6, "params": 20_000})
    assert both == min(by_macs, by_params)
    assert costs["params"] <= 20_000


def test_a_budget_out_of_reach_names_the_smallest_cost() -> None:
    own = form()
    least = own.network(0.5**SEARCH_STEPS).costs.at({})["params"]
    with pytest.raises(BudgetError, match=rf"narrowest student costs {least:,.6g}"):
        fitting_scale(own, own.network(1.0), {"macs": 1e12, "params": least - 1})


def test_the_command_line_meets_a_budget(
    tmp_path: Path, resnet_checkpoint: Path, pictures: Path
) -> None:
    """The recipe's own scale gives way; what was chosen is said, kept, and that of the student's file to be."""
    run = tmp_path / "run"
    arguments = [*compress_arguments(resnet_checkpoint, pictures, run, "distill.steps=2")]
    done = edgegan(*arguments, "--budget-bytes", "60k", "--json")
    assert "budget 60,000 bytes: student.scale 0." in done.stderr
    config, module = load_generator(run / "student")
    example = torch.zeros(1, 3, SIZE, SIZE)
    table = tabulate(module, example, trace_channels(module, example))
    assert 0.5 * 60_000 < table.bytes(table.full) <= 60_000
    assert config.spec["stem"] < 16
    again = edgegan(*arguments, "--budget-bytes", "60k")
    assert "student is up to date" in again.stderr
    arguments[arguments.index(run)] = tmp_path / "low"
    low = edgegan(*arguments, "--budget-bytes", "1k", check=False)
    assert low.returncode == 3
    assert "budget bytes 1,000 cannot be reached: the narrowest student costs" in low.stderr
    assert not (tmp_path / "low").exists()


def test_budgets_of_milliseconds_hold_as_well(
    tmp_path: Path, teacher: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for the tables of a device: 1 ms and one more for a hundred channels."""

    class Linear:
        def layers_from(self, genome: tuple[int, ...]) -> tuple[int, ...]:
            return genome

        def predict(self, layers: tuple[int, ...]) -> float:
            return 1 + sum(layers) / 100

    asked = []
    monkeypatch.setattr(
        measured, "device_predictor", lambda *given: asked.append(given[2]) or Linear()
    )
    more = ["budget.ms=2.5", "budget.macs=1e12"]
    run = compress(recipe_for(teacher, pictures, *more), tmp_path / "run")
    figures = run.student_figures()
    assert asked == ["ms"]
    assert figures["budget"] == {"macs": 1e12, "ms": 2.5}
    assert 2 < figures["costs"]["ms"] <= 2.5
    assert 0 < figures["scale"] < 1
    spec = read_config(run.folder / "student").spec
    wide = read_config(teacher).spec
    assert spec["stem"] <= wide["stem"] and len(spec["inner"]) == len(wide["inner"])
    with pytest.raises(BudgetError, match="narrowest student"):
        compress(recipe_for(teacher, pictures, "budget.ms=0.5"), tmp_path / "low")


def test_a_budget_and_an_option_for_every_cost() -> None:
    shown = edgegan("compress", "--help").stdout
    recipe = Recipe(name="tiny")
    for kind in COSTS:
        assert flag(kind) in shown
        assert getattr(recipe.budget, kind) is None
    assert "(gan-compression)" not in shown


@pytest.mark.parametrize("method", ["gan-compression", "gan-slimming"])
def test_methods_that_need_a_budget_say_so_at_once(method: str) -> None:
    with pytest.raises(ConfigError, match=r"needs a budget: --budget-macs, .* or --budget-instr"):
        parse_recipe({"name": "tiny", "method": method}, "test")
