"""The search: the best sub-network of a supernet under budgets, whole space or evolution, every evaluation on disk."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgegan.compress.costs.network import check_reachable, within
from edgegan.compress.search.widths import Genome, WidthSpace
from edgegan.console import progress, say
from edgegan.distributed import is_main, rank, share, world_size
from edgegan.files import write_atomic
from edgegan.recipe.search_section import Search, metric_name, metric_value
from edgegan.training.loop import append, read_entries

TRIES = 200  # random draws before a draw is shrunk until it fits
Costs = dict[str, float]


@dataclass(frozen=True)
class Candidate:
    """An evaluated sub-network."""

    genome: Genome
    fitness: float
    costs: Costs
    generation: int


@dataclass
class Searcher:
    """What a search needs: the space, what a genome costs and is worth, and the budgets by cost name."""

    space: WidthSpace
    costs: Callable[[Genome], Costs]
    fitness: Callable[[Genome], float]
    limits: Mapping[str, float]
    settings: Search
    seed: int
    journal: Path
    known: dict[Genome, Candidate] = field(default_factory=dict)

    def fits(self, genome: Genome) -> bool:
        """Whether every budget holds."""
        return within(self.costs(genome), self.limits)

    def check_budget(self) -> None:
        """Raises BudgetError with the smallest reachable cost when no sub-network fits."""
        check_reachable(self.costs(self.space.narrowest()), self.limits)

    def random_fit(self, generator: random.Random) -> Genome:
        """A random sub-network within the budgets; a draw that is hard to come by is shrunk unit by unit."""
        for _ in range(TRIES):
            genome = self.space.draw(generator)
            if self.fits(genome):
                return genome
        return self.shrunk(genome, generator)

    def shrunk(self, genome: Genome, generator: random.Random) -> Genome:
        """The genome with random units made narrower, one choice at a time, until it fits."""
        rows = [sorted(each) for each in self.space.choices.values()]
        while not self.fits(genome):
            units = [i for i, width in enumerate(genome) if width > rows[i][0]]
            unit = generator.choice(units)
            narrower = rows[unit][rows[unit].index(genome[unit]) - 1]
            genome = (*genome[:unit], narrower, *genome[unit + 1 :])
        return genome

    def mutate(self, genome: Genome, generator: random.Random) -> Genome:
        """Every unit changes with the mutation probability (OFA, Cai et al. 2020); shrunk where that breaks a
        budget."""
        changed = tuple(
            generator.choice(choices) if generator.random() < self.settings.mutation else width
            for width, choices in zip(genome, self.space.choices.values(), strict=True)
        )
        return self.shrunk(changed, generator)

    def cross(self, parents: list[Genome], generator: random.Random) -> Genome:
        """Every unit from one of two parents."""
        return self.shrunk(
            tuple(generator.choice(pair) for pair in zip(*parents, strict=True)), generator
        )

    def evaluate(self, genomes: list[Genome], generation: int, label: str) -> list[Candidate]:
        """Candidates of these genomes; what the journal holds is not computed again. Several processes share the
        work."""
        missing = [genome for genome in dict.fromkeys(genomes) if genome not in self.known]
        mine = missing[rank() :: world_size()]
        found: dict[Genome, float] = {}
        if missing:
            with progress(label, len(mine)) as bar:
                for done, genome in enumerate(mine, 1):
                    found[genome] = self.fitness(genome)
                    if world_size() == 1:
                        self.note(genome, found[genome], generation)
                    bar.step(done, self.shown(found[genome]))
            everyone = share(found)
            if world_size() > 1:
                for genome in missing:
                    self.note(genome, everyone[genome], generation)
        return [self.known[genome] for genome in genomes]

    def shown(self, fitness: float) -> str:
        """A fitness with the name of its metric."""
        metric = self.settings.fitness
        return f"{metric_name(metric)} {metric_value(metric, fitness):.3f}"

    def note(self, genome: Genome, fitness: float, generation: int) -> None:
        """Keeps an evaluation in memory and in the journal."""
        candidate = Candidate(genome, fitness, self.costs(genome), generation)
        self.known[genome] = candidate
        append(
            self.journal,
            {
                "genome": list(genome),
                "fitness": fitness,
                "costs": candidate.costs,
                "generation": generation,
            },
        )

    def remember(self, inputs: str) -> None:
        """Reads the journal of an interrupted search of the same inputs; another's is started anew."""
        entries = list(read_entries(self.journal))
        if not entries or entries[0].get("inputs") != inputs:
            if is_main():
                write_atomic(self.journal, (json.dumps({"inputs": inputs}) + "\n").encode())
            return
        for entry in entries[1:]:
            genome = tuple(entry["genome"])
            self.known[genome] = Candidate(
                genome, entry["fitness"], entry["costs"], entry["generation"]
            )
        if is_main():  # a line cut short by a kill goes
            lines = [json.dumps(entry) for entry in entries]
            write_atomic(self.journal, ("\n".join(lines) + "\n").encode())
        say(f"search: {len(self.known)} evaluations of an interrupted search are kept")

    def run(self, inputs: str, given: Genome | None = None) -> tuple[list[Candidate], str]:
        """All candidates evaluated within the budgets, best first, and why the search stopped; a genome that is `given`
        is the only one."""
        if given is None:
            self.check_budget()
        self.remember(inputs)
        if given is not None:
            label = self.space.describe(given)
            return self.evaluate([given], 0, f"search, {label} alone"), f"{label} was given"
        if self.space.size() <= self.settings.exhaustive:
            genomes = [
                each for each in itertools.product(*self.space.choices.values()) if self.fits(each)
            ]
            found = self.evaluate(genomes, 0, "search, all sub-networks")
            return ranked(found), f"all {len(found)} sub-networks within the budget were evaluated"
        return self.evolve()

    def evolve(self) -> tuple[list[Candidate], str]:
        """Evolution as in OFA: the best part of each generation has mutated and crossed children."""
        seen: dict[Genome, Candidate] = {}
        population = self.first_generation()
        for generation in range(self.settings.generations + 1):
            label = f"search, generation {generation}/{self.settings.generations}"
            for candidate in self.evaluate(population, generation, label):
                seen.setdefault(candidate.genome, candidate)
            best = ranked(list(seen.values()))
            say(f"  generation {generation}: best {self.shown(best[0].fitness)} of {len(seen)}")
            if generation < self.settings.generations:
                population = self.children(best, seen, generation)
                if not population:
                    return best, f"no new sub-network was found after generation {generation}"
        return best, f"{self.settings.generations} generations, {len(seen)} sub-networks evaluated"

    def first_generation(self) -> list[Genome]:
        """Distinct random sub-networks, and the widest uniform one: scaling by hand is the mark to beat."""
        generator = self.generator("first")
        found = dict.fromkeys(uniform_fits(self))
        for _ in range(self.settings.population * 4):
            if len(found) >= self.settings.population:
                break
            found[self.random_fit(generator)] = None
        return list(found)

    def children(
        self, best: list[Candidate], seen: Mapping[Genome, Candidate], generation: int
    ) -> list[Genome]:
        """A generation of genomes not seen before."""
        generator = self.generator(f"children:{generation}")
        count = self.settings.population
        parents = [each.genome for each in best[: max(2, round(self.settings.parents * count))]]
        found: dict[Genome, None] = {}
        for _ in range(count * 8):
            if len(found) >= count:
                break
            if len(found) < self.settings.mutated * count or len(parents) < 2:
                child = self.mutate(generator.choice(parents), generator)
            else:
                child = self.cross(generator.sample(parents, 2), generator)
            if child not in seen:
                found[child] = None
        return list(found)

    def generator(self, purpose: str) -> random.Random:
        """Random numbers of one purpose, the same in every process and every rerun."""
        key = hashlib.sha256(f"search:{self.seed}:{purpose}".encode()).hexdigest()
        return random.Random(key)


def uniform_fits(searcher: Searcher) -> Iterator[Genome]:
    """The widest uniformly scaled sub-network within the budgets, if there is one."""
    for percent in range(100, 0, -1):
        genome = searcher.space.uniform(percent / 100)
        if searcher.fits(genome):
            yield genome
            return


def ranked(candidates: list[Candidate]) -> list[Candidate]:
    """The fittest first; of equals the one found first."""
    return sorted(candidates, key=lambda each: -each.fitness)


def pareto(candidates: list[Candidate], cost: str) -> list[Candidate]:
    """The candidates that no other beats in both fitness and cost, cheapest first."""
    front: list[Candidate] = []
    for each in sorted(candidates, key=lambda found: (found.costs[cost], -found.fitness)):
        if not front or each.fitness > front[-1].fitness:
            front.append(each)
    return front
