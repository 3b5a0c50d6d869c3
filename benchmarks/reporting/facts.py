"""Everything a report says of one run, read from its manifests. report.json is this, as it is."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgegan.artefact import ModelManifest, exported_models, read_export
from edgegan.benchmarks.record import AnyRecord, BenchRecord, of_one_device, read_all
from edgegan.benchmarks.reporting.curves import Plot, budget_plot, training_plots
from edgegan.benchmarks.reporting.headline import Headline, Models, make_headline
from edgegan.benchmarks.reporting.latency import BarGroup, OperatorTime, bar_groups, operator_times
from edgegan.benchmarks.reporting.verdicts import warning_texts
from edgegan.errors import InputError
from edgegan.files import check_sha256, read_json
from edgegan.metrics.evaluations import read_evaluations
from edgegan.metrics.protocol import Figure
from edgegan.recipe.kinds import COSTS
from edgegan.recipe.search_section import metric_name
from edgegan.run import MANIFEST, Run

SHOWN = ("psnr_to_teacher_db", "ssim_to_teacher", "validation_images")


@dataclass(frozen=True)
class Artefact:
    """One exported file, with the measured record that stands beside it in the main table."""

    model: dict[str, Any]
    record: BenchRecord | None


@dataclass(frozen=True)
class FrontRow:
    """One sub-network of the front."""

    widths: str
    cost: float
    parameters: float
    fitness: float
    chosen: bool


@dataclass(frozen=True)
class SearchFacts:
    """What a search found; `plot` is its front.svg as a data URI."""

    unit: str
    fitness: str
    candidates: int
    why: str
    rows: list[FrontRow]
    uniform: FrontRow | None
    spearman: float | None
    plot: str


@dataclass(frozen=True)
class Evaluation:
    """One `edgegan evaluate`: figures, each with its protocol."""

    subject: str
    against: str
    created: str
    command: str
    figures: list[Figure]
    notes: list[str]


@dataclass(frozen=True)
class RunFacts:
    """One run."""

    label: str
    name: str
    description: str
    headline: list[Headline]
    warnings: list[str]
    quality: dict[str, Any]
    artefacts: list[Artefact]
    records: list[AnyRecord]
    latency: list[BarGroup]
    profiles: dict[str, list[OperatorTime]]
    evaluations: list[Evaluation]
    search: SearchFacts | None
    training: list[Plot]
    budget: Plot | None
    stages: dict[str, dict[str, Any]]
    commands: list[str]
    environment: dict[str, Any]
    devices: dict[str, dict[str, Any]]
    recipe: dict[str, Any]
    gallery_notes: list[str] = field(default_factory=list)


def gather(folder: Path, label: str) -> tuple[RunFacts, Models]:
    """Facts of a finished run; raises InputError when it has no student, IntegrityError when a file is not what its
    manifest says."""
    run = Run.open(folder)
    quality = run.student_figures()
    lacking = [key for key in SHOWN if quality.get(key) is None]
    if lacking:
        raise InputError(
            f"{folder / MANIFEST}: the student has no '{lacking[0]}'; compress again with --overwrite"
        )
    models = {model.file: (path, model) for path, model in exported_models(folder / "export")}
    ordered = dict(sorted(models.items(), key=lambda item: order_key(item[1][1])))
    everything = read_all(folder / "bench")
    records, stale = [], []
    for record in everything:
        known = ordered.get(record.artefact)
        if known is not None and known[1].sha256 == record.sha256:
            records.append(record)
        elif known is not None:
            stale.append(record.artefact)
    measured = [record for record in records if isinstance(record, BenchRecord)]
    tabled = {record.artefact: record for record in of_one_device(measured)}
    recipe = run.manifest["recipe"]
    evaluations = [read_evaluation(folder, each) for each in read_evaluations(folder)]
    facts = RunFacts(
        label=label,
        name=str(recipe.get("name", folder.name)),
        description=str(recipe.get("description", "")),
        headline=make_headline(ordered, tabled, quality),
        warnings=warning_texts(ordered, records, dict.fromkeys(stale), quality),
        quality=quality,
        artefacts=[
            Artefact(model.model_dump(mode="json"), tabled.get(name))
            for name, (_, model) in ordered.items()
        ],
        records=records,
        latency=bar_groups(records),
        profiles={
            f"{record.artefact}, {record.device}, {record.threads} threads": operator_times(record)
            for record in measured
            if record.profile
        },
        evaluations=evaluations,
        search=read_search(run),
        training=training_plots(folder / "metrics.jsonl"),
        budget=budget_plot(folder / "metrics.jsonl"),
        stages={
            name: {key: entry.get(key) for key in ("duration_s", "finished", "figures")}
            for name, entry in run.manifest["stages"].items()
        },
        commands=commands(run, records, evaluations),
        environment=run.manifest["environment"],
        devices=describe_devices(records),
        recipe=recipe,
    )
    return facts, ordered


def order_key(model: ModelManifest) -> tuple[str, str, int]:
    """Teachers first, then by target, then by precision."""
    rank = ("fp32", "fp16", "int8").index(model.precision)
    return "0" if model.role == "teacher" else "1", model.target, rank


def commands(run: Run, records: list[AnyRecord], evaluations: list[Evaluation]) -> list[str]:
    """The commands that made the run, as typed, in order and without repeats."""
    found = [run.manifest["command"], read_export(run.folder / "export").get("command", "")]
    found += [record.command for record in sorted(records, key=lambda record: record.started)]
    found += [each.command for each in evaluations]
    return [command for command in dict.fromkeys(found) if command]


def describe_devices(records: list[AnyRecord]) -> dict[str, dict[str, Any]]:
    """What measured: processor, system and versions of each device."""
    found = {}
    for record in records:
        state = {
            key: value
            for key, value in {**record.environment, **record.device_state}.items()
            if isinstance(value, str | int | float) and value != ""
        }
        found[record.device] = state
    return found


def read_evaluation(folder: Path, found: dict[str, Any]) -> Evaluation:
    """One entry of evaluate.json; raises InputError when it is damaged."""
    try:
        return Evaluation(
            subject=str(found["subject"]),
            against=str(found.get("against", "")),
            created=str(found.get("created", "")),
            command=str(found.get("command", "")),
            figures=[Figure.model_validate(each) for each in found["figures"]],
            notes=[str(note) for note in found.get("notes", [])],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder / 'evaluate.json'} is not what edgegan evaluate writes ({error}); "
            "remove it and evaluate again"
        ) from error


def read_search(run: Run) -> SearchFacts | None:
    """The search's front, as its stage wrote it; None when nothing was searched."""
    entry = run.manifest["stages"].get("search")
    if entry is None:
        return None
    folder = run.folder / "stages" / "search"
    for name in ("front.json", "front.svg"):
        path = folder / name
        check_sha256(path, entry["outputs"].get(str(path.relative_to(run.folder)), "not recorded"))
    try:
        return search_facts(run, read_json(folder / "front.json"), folder, entry)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise InputError(
            f"{folder / 'front.json'} is not what a search writes ({error}); compress again with --overwrite"
        ) from error


def search_facts(
    run: Run, front: dict[str, Any], folder: Path, entry: dict[str, Any]
) -> SearchFacts:
    """The front of front.json."""
    kind = COSTS.get(front["cost"])
    unit, scale = (front["cost"], 1.0) if kind is None else (kind.unit, kind.scale)
    chosen = front["chosen"]
    sign = -1 if front.get("lower_is_better") else 1  # a distance is written as it is measured

    def row(each: dict[str, Any]) -> FrontRow:
        return FrontRow(
            "_".join(map(str, each["genome"])),
            float(each["costs"][front["cost"]]) / scale,
            float(each["costs"]["params"]),
            sign * float(each["fitness"]),
            each["genome"] == chosen["genome"],
        )

    picture = base64.b64encode((folder / "front.svg").read_bytes()).decode()
    return SearchFacts(
        unit=unit,
        fitness=metric_name(str(front["fitness"])),
        candidates=int(front["candidates"]),
        why=str(entry["figures"].get("why", "")),
        rows=[row(each) for each in front["front"]],
        uniform=row(front["uniform"]) if front["uniform"] else None,
        spearman=run.figures("check").get("spearman"),
        plot=f"data:image/svg+xml;base64,{picture}",
    )
