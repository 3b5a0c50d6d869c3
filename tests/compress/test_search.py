"""The search: budgets, the whole space, evolution, a journal that an interrupted search goes on from."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest

from edgegan.benchmarks.reporting.facts import search_facts
from edgegan.compress.search.evolution import Candidate, Searcher, pareto, ranked
from edgegan.compress.search.front import front_table, write_front
from edgegan.compress.search.widths import Genome, WidthSpace
from edgegan.errors import BudgetError
from edgegan.files import read_json
from edgegan.metrics.ranks import spearman
from edgegan.recipe.search_section import Search
from edgegan.run import Run

SMALL = WidthSpace({"a": ("a",), "b": ("b", "c")}, {"a": (8, 16, 24), "b": (8, 16)})
LARGE = WidthSpace(
    {str(i): (str(i),) for i in range(8)}, {str(i): (8, 16, 24, 32) for i in range(8)}
)


def searcher(
    space: WidthSpace,
    journal: Path,
    limit: float,
    calls: list[Genome] | None = None,
    **settings: int,
) -> Searcher:
    """A search whose cost is the sum of widths, and whose fitness likes the later units."""

    def fitness(genome: Genome) -> float:
        if calls is not None:
            calls.append(genome)
        return sum(math.sqrt(width) * (place + 1) for place, width in enumerate(genome))

    return Searcher(
        space,
        lambda genome: {"macs": float(sum(genome)), "params": 1.0, "bytes": 1.0},
        fitness,
        {"macs": limit},
        Search.model_validate(settings),
        0,
        journal,
    )


def test_unreachable_budget_names_the_smallest_cost(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"budget macs 15 .* narrowest sub-network costs 16"):
        searcher(SMALL, tmp_path / "s.jsonl", 15).run("x")


def test_small_spaces_are_searched_whole(tmp_path: Path) -> None:
    found, why = searcher(SMALL, tmp_path / "s.jsonl", 32).run("x")
    everything = [g for g in itertools.product((8, 16, 24), (8, 16)) if sum(g) <= 32]
    assert {each.genome for each in found} == set(everything)
    assert why == "all 5 sub-networks within the budget were evaluated"
    best = max(everything, key=lambda g: math.sqrt(g[0]) + 2 * math.sqrt(g[1]))
    assert found[0].genome == best


def test_evolution_keeps_budgets_and_finds_better_than_scaling(tmp_path: Path) -> None:
    search = searcher(LARGE, tmp_path / "s.jsonl", 120, population=16, generations=6, exhaustive=10)
    found, _ = search.run("x")
    assert all(each.costs["macs"] <= 120 for each in found)
    assert len({each.genome for each in found}) == len(found)
    uniform = next(each for each in found if len(set(each.genome)) == 1)
    assert found[0].fitness > uniform.fitness


def test_interrupted_search_goes_on_to_the_same_result(tmp_path: Path) -> None:
    settings = {"population": 8, "generations": 3, "exhaustive": 10}
    whole, _ = searcher(LARGE, tmp_path / "a.jsonl", 120, **settings).run("x")
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    (tmp_path / "b.jsonl").write_text("\n".join(lines[:13]) + '\n{"genome": [8, 8', "utf-8")
    calls: list[Genome] = []
    again, _ = searcher(LARGE, tmp_path / "b.jsonl", 120, calls, **settings).run("x")
    assert again == whole
    assert len(calls) == len(whole) - 12
    assert (tmp_path / "b.jsonl").read_text() == (tmp_path / "a.jsonl").read_text()


def test_a_journal_of_other_inputs_is_started_anew(tmp_path: Path) -> None:
    searcher(SMALL, tmp_path / "s.jsonl", 32).run("x")
    calls: list[Genome] = []
    searcher(SMALL, tmp_path / "s.jsonl", 32, calls).run("y")
    assert len(calls) == 5


def test_tight_budgets_end(tmp_path: Path) -> None:
    """Random draws hardly ever fit; they are shrunk until they do."""
    found, _ = searcher(
        LARGE, tmp_path / "s.jsonl", 72, population=4, generations=2, exhaustive=2
    ).run("x")
    assert 1 <= len(found) <= 9


def test_front(tmp_path: Path) -> None:
    found = [
        Candidate((8, 8), 1.0, {"macs": 10.0, "params": 1e3}, 0),
        Candidate((8, 16), 3.0, {"macs": 30.0, "params": 2e3}, 0),
        Candidate((16, 8), 2.0, {"macs": 30.0, "params": 3e3}, 1),
        Candidate((24, 8), 2.5, {"macs": 40.0, "params": 4e3}, 1),
    ]
    assert pareto(found, "macs") == [found[0], found[1]]
    best = ranked(found)[0]
    assert best is found[1]
    write_front(tmp_path, SMALL, found, best, None, "macs", "psnr")
    kept = read_json(tmp_path / "front.json")
    assert kept["chosen"]["genome"] == [8, 16]
    assert len(kept["front"]) == 2
    assert "8_16: 3.000" in (tmp_path / "front.svg").read_text()
    assert "chosen" in front_table(found, best, "macs", "psnr")


def test_a_distance_is_written_as_it_is_measured(tmp_path: Path) -> None:
    """The smallest is the best; nobody sees a minus."""
    found = [Candidate((8, 8), -62.5, {"macs": 10.0, "params": 1e3}, 0)]
    write_front(tmp_path, SMALL, found, found[0], None, "macs", "fid")
    assert "8_8: 62.500" in (tmp_path / "front.svg").read_text()
    shown = front_table(found, found[0], "macs", "fid")
    assert "62.500" in shown and "Frechet" in shown and "fid" not in shown
    front = read_json(tmp_path / "front.json")
    run = Run(tmp_path, {"recipe": {}, "stages": {}})
    assert search_facts(run, front, tmp_path, {"figures": {}}).rows[0].fitness == 62.5
    old = {**front, "lower_is_better": False}
    assert search_facts(run, old, tmp_path, {"figures": {}}).rows[0].fitness == -62.5


def test_spearman_by_hand() -> None:
    assert spearman([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert spearman([1, 1, 2], [1, 1, 5]) == pytest.approx(1)
    assert math.isnan(spearman([1, 1], [1, 2]))
