"""`edgegan export`: package or run -> artefacts, each proved before it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgegan.artefact import ModelManifest, Parity, find_exported
from edgegan.console import say
from edgegan.errors import ConfigError, ParityError, QualityError
from edgegan.export.child import run_converter, wrong_layer
from edgegan.export.int8_job import int8_job, store
from edgegan.export.keeping import keep
from edgegan.export.model_card import describe_model
from edgegan.export.parity import against_double, check, check_drop, drop_limit
from edgegan.export.planning import Plan, check_installed, make_plan
from edgegan.export.proof import (
    Candidate,
    Check,
    fidelity,
    in_double,
    make_checks,
    prove,
    with_signatures,
)
from edgegan.export.request import ExportOptions
from edgegan.export.sensitivity import write_csv
from edgegan.export.sources import Source, collect_sources
from edgegan.export.targets import TARGETS
from edgegan.export.workplace import remove_scratch, scratch
from edgegan.metrics.gain import no_gain
from edgegan.metrics.quality import psnr, untouched
from edgegan.ownership.folders import held
from edgegan.run import MANIFEST, Run
from edgegan.streams import is_text

REWRITE_SAMPLES = 4
BETTER = "train it longer or widen it with edgegan compress, or keep it as it is with --force"
DEFAULT = ExportOptions()


def export(
    source: Path,
    output: Path | None,
    targets: Sequence[str],
    precisions: Sequence[str],
    options: ExportOptions = DEFAULT,
) -> Path:
    """Exports a run's teacher and student, or one package; returns the folder with export.json.

    `targets` are names in TARGETS; no `precisions` means all that each target has. Raises ParityError or QualityError
    (exit 3) when an artefact fails its gate; artefacts that passed before it stay.
    """
    chosen = [TARGETS[name] for name in targets]
    for target in chosen:
        for precision in precisions:
            target.check_precision(precision)
        check_installed(target)
    sources = collect_sources(source, options.which, options.sizes, options.calibration)
    check_measurable(source, sources, options)
    check_gain(source, sources, options)
    folder = open_folder(source, output)
    with held(folder, "export"):
        remove_scratch(folder)
        for entry in sources:
            for target in chosen:
                made = list(precisions or target.precisions)
                plan = make_plan(entry, folder, target, made, options)
                if plan is None:
                    say(f"{entry.role} {target.name}: up to date")
                    continue
                with scratch(folder) as work:
                    prove_and_keep(plan, convert(plan, work), force=options.force)
    return folder


def check_measurable(source: Path, sources: list[Source], options: ExportOptions) -> None:
    """Raises ConfigError when --max-drop asks for what nothing can be compared with."""
    measurable = any(entry.teacher_outputs is not None for entry in sources)
    if options.int8.max_drop_db is not None and not measurable:
        raise ConfigError(
            f"--max-drop compares a run's student with its teacher at the run's size; {source} gives none to compare"
        )


def check_gain(source: Path, sources: list[Source], options: ExportOptions) -> None:
    """Raises QualityError when a run's student is no nearer to its teacher than the untouched input, unless forced."""
    if not any(entry.role == "student" for entry in sources) or not (source / MANIFEST).is_file():
        return
    wrong = no_gain(Run.open(source).student_figures())
    if wrong and not options.force:
        raise QualityError(f"{source}: {wrong}; {BETTER}")
    if wrong:
        say(f"warning: {wrong}; kept, as --force asks")


def check_nearer(plan: Plan, precision: str, fidelity_db: float) -> None:
    """The same of one artefact over the same pictures: int8 may lose what fp32 gained."""
    source = plan.source
    x, wanted = source.validation, source.teacher_outputs
    if plan.takes.kind != "image" or x is None or wanted is None:
        return
    if source.role != "student" or x.shape[1] != wanted.shape[1]:
        return
    pairs = [(untouched(a, b.shape), b) for a, b in zip(x, wanted, strict=True)]
    plain = [psnr(a, b) for a, b in pairs if a is not None]
    wrong = no_gain({"psnr_to_teacher_db": fidelity_db, "identity_psnr_db": float(np.mean(plain))})
    if wrong:
        raise QualityError(f"{plan.name(precision)}: {wrong}; {BETTER}")


def open_folder(source: Path, output: Path | None) -> Path:
    """The folder to export into; raises ConfigError when none is said."""
    if output is None and not (source / MANIFEST).is_file():
        raise ConfigError(f"{source} is a package, not a run: say where to write with -o FOLDER")
    folder = output or (source / "export")
    if not is_text(folder):
        raise ConfigError(
            f"{folder} is no name in UTF-8, which converters ask for; rename it or choose another with -o"
        )
    return folder


@dataclass(frozen=True)
class Converted:
    """What a converter's child process made in `work`: its result, the job it was given, its log, and a line that says
    what int8 was calibrated with."""

    work: Path
    job: dict[str, Any]
    log: Path
    result: dict[str, Any]
    calibration_note: str | None


def convert(plan: Plan, work: Path) -> Converted:
    """Makes the wanted artefacts in `work`, in a child process whose output is kept as a log."""
    source = plan.source
    job: dict[str, Any] = {
        "package": str(source.folder.resolve()),
        "target": plan.target.name,
        "precisions": plan.wanted,
        "samples": [
            [size, store(work, f"samples{index}", images[:REWRITE_SAMPLES])]
            for index, (size, images) in enumerate(source.proofs)
        ],
        "output": str(work.resolve()),
        "signature": plan.signature.model_dump(mode="json"),
        "dynamic": plan.sizes.dynamic,
        "multiple": plan.sizes.multiple,
    }
    note = None
    if "int8" in plan.wanted:
        job["int8"], note = int8_job(source, work, plan.int8, plan.complexity.macs)
        takes = plan.signature.input_info(plan.config.input, source.size)
        job["int8"] |= {"takes": takes.model_dump(), "gives": plan.gives.model_dump()}
    log = plan.folder / "logs" / f"{source.role}_{plan.target.name}.log"
    return Converted(work, job, log, run_converter(job, work, log), note)


def prove_and_keep(plan: Plan, made: Converted, *, force: bool) -> None:
    """Proves each artefact, then moves it into place and records it; raises for the first that fails a gate."""
    checks = with_signatures(
        make_checks(plan.module, plan.proofs, plan.takes, plan.gives), made.result["signatures"]
    )
    for precision in plan.wanted:
        path = made.work / f"{precision}{plan.target.suffix}"
        candidate = Candidate(path, plan.target.loading(path), plan.takes, plan.gives)
        parity = proved(plan, made, candidate, precision, checks)
        source, teacher_db, limit = plan.source, None, None
        if source.validation is not None and source.teacher_outputs is not None:
            teacher_db = fidelity(candidate, source.validation, source.teacher_outputs)
            if precision == "int8":
                limit = drop_limit(plan.int8.max_drop_db)
        manifest = describe_model(plan, precision, path, made.result, parity).model_copy(
            update={
                "psnr_to_teacher_db": teacher_db,
                "drop_limit_db": limit,
                "calibration": calibration_of(made, precision),
            }
        )
        if teacher_db is not None and not force:
            check_nearer(plan, precision, teacher_db)
        if precision == "int8" and teacher_db is not None:
            check_drop_to_fp32(plan, teacher_db, made.result["int8"])
        keep(path, plan.folder, manifest, plan.inputs[precision])
        say_artefact(manifest)


def proved(
    plan: Plan, made: Converted, candidate: Candidate, precision: str, checks: list[Check]
) -> Parity:
    """The artefact's parity; raises ParityError when it fails its gate, for fp32 with the layer that is wrong."""
    name = plan.name(precision)
    parity = prove(candidate, precision, checks)
    ranking = made.result["int8"]["ranking"] if precision == "int8" else []
    if ranking:
        write_csv(plan.folder / f"{name}.sensitivity.csv", ranking)
    if precision == "fp32" and not parity.max_abs <= (parity.limit or 0.0):
        double = in_double(plan.module, checks)
        if double is not None:
            parity = against_double(prove(candidate, precision, double[0]), double[1])
    try:
        check(parity, precision, name, ranking, has_teacher=plan.source.role == "student")
    except ParityError as error:
        if precision != "fp32":
            raise
        culprit = wrong_layer(made.job, made.work, made.log)
        raise ParityError(f"{error}; {culprit}") from error
    return parity


def calibration_of(made: Converted, precision: str) -> str | None:
    """What an int8 artefact was calibrated with, and how."""
    if precision != "int8" or not made.calibration_note:
        return None
    return f"{made.calibration_note}, {made.result['int8']['method']}"


def check_drop_to_fp32(plan: Plan, fidelity_db: float, int8: dict[str, Any]) -> None:
    """The gate of int8 against fp32 of the same student: as exported, or as the conversion measured it."""
    found = find_exported(plan.folder, role="student", precision="fp32", target=plan.target.name)
    fp32_db = found[1].psnr_to_teacher_db if found else int8["fp32_to_teacher_db"]
    if fp32_db is not None:
        limit = plan.int8.max_drop_db
        check_drop(plan.name("int8"), fidelity_db, fp32_db, limit, int8["ranking"])


def say_artefact(manifest: ModelManifest) -> None:
    """One line: size, proof, and what computes in what."""
    counts = ", ".join(
        f"{count} {kind.replace('_', ' ')}" for kind, count in manifest.computed_in.items() if count
    )
    fidelity = manifest.psnr_to_teacher_db
    quality = "" if fidelity is None else f", PSNR to teacher {fidelity:.2f} dB"
    say(
        f"{manifest.file}: {manifest.bytes / 1e6:.2f} MB, PSNR to PyTorch {manifest.parity.psnr_db:.1f} dB, "
        f"max abs {manifest.parity.max_abs:.1e}{quality}; operations: {counts}"
    )
    if manifest.float_layers:
        say(f"  kept float: {', '.join(manifest.float_layers)}")
    for finding in manifest.lint:
        say(f"  lint {finding.rule}: {finding.where}; {finding.cost} ({finding.reason})")
