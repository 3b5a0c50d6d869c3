"""`edgegan export`: package or run -> artefacts, each proved before it is kept."""

from __future__ import annotations

import importlib.metadata
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from edgegan.artefact import (
    EXPORT_MANIFEST,
    MODEL_SUFFIX,
    SCHEMA_VERSION,
    ModelManifest,
    TensorInfo,
    read_model,
)
from edgegan.console import say
from edgegan.errors import ConfigError, OutputError, ParityError
from edgegan.export.child import run_converter, wrong_layer
from edgegan.export.int8_job import int8_job, store
from edgegan.export.parity import check, check_drop
from edgegan.export.policy import Int8Options, check_one_range, choose_policy
from edgegan.export.proof import fidelity, larger_proof, make_checks, prove, with_signatures
from edgegan.export.sensitivity import write_csv
from edgegan.export.signature import Signature
from edgegan.export.sources import Source, collect_sources, size_multiple, smallest_size
from edgegan.files import (
    folder_lock,
    make_folder,
    optional_import,
    read_json,
    sha256_bytes,
    sha256_file,
    write_json,
)
from edgegan.metrics.complexity import measure
from edgegan.models.zoo import load_generator
from edgegan.package import input_shape, package_hash
from edgegan.run import MANIFEST, command_line, environment, now

NEEDS = {
    "tflite": ("litert_torch", "ai_edge_quantizer", "ai_edge_litert"),
    "onnx": ("onnx", "onnxruntime", "onnxsim", "onnxscript"),
}
TASKS = {"image": "image-to-image", "label_map": "labels-to-image", "noise": "noise-to-image"}
REWRITE_SAMPLES = 4


def export(
    source: Path,
    output: Path | None,
    targets: list[str],
    precisions: list[str],
    *,
    which: str = "both",
    sizes: Sequence[tuple[int, int]] = (),
    calibration: Path | None = None,
    int8: Int8Options | None = None,
    signature: Signature | None = None,
    dynamic: bool = False,
    overwrite: bool = False,
) -> Path:
    """Exports a run's teacher and student, or one package; returns the folder with export.json.

    Several `sizes` make one .tflite with a signature for each, and an .onnx of any size, as `dynamic` does.
    Raises ParityError (exit 3) when an artefact fails its gate; artefacts that passed before it stay.
    """
    for target in targets:
        for module in NEEDS[target]:
            optional_import_check(module, target)
    sources = collect_sources(source, which, sizes, calibration)
    measurable = any(entry.teacher_outputs is not None for entry in sources)
    if int8 is not None and int8.max_drop_db is not None and not measurable:
        raise ConfigError(
            f"--max-drop compares a run's student with its teacher at the run's size; {source} gives none to compare"
        )
    folder = output or (source / "export")
    if output is None and not (source / MANIFEST).is_file():
        raise ConfigError(f"{source} is a package, not a run: say where to write with -o FOLDER")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / ".lock").is_file():
        raise OutputError(f"{folder} exists and is not an export; choose another with -o")
    make_folder(folder)
    with folder_lock(folder):
        for stale in folder.glob(".convert-*"):
            shutil.rmtree(stale, ignore_errors=True)
        for entry in sources:
            for target in targets:
                export_target(
                    entry,
                    folder,
                    target,
                    precisions,
                    int8 or Int8Options(),
                    (signature or Signature()).resolved(target),
                    dynamic=target == "onnx" and (dynamic or bool(entry.others)),
                    overwrite=overwrite,
                )
    return folder


def optional_import_check(module: str, target: str) -> None:
    """Raises MissingDependency in the first second when a converter's package is absent, without importing it."""
    import importlib.util

    if importlib.util.find_spec(module) is None:
        optional_import(module, target)


def export_target(
    source: Source,
    folder: Path,
    target: str,
    precisions: list[str],
    int8: Int8Options,
    signature: Signature,
    *,
    dynamic: bool,
    overwrite: bool,
) -> None:
    """Converts one package to one target, proves each precision, then moves it into place and records it."""
    config, module = load_generator(source.folder)
    shape = source.size
    policy = choose_policy(module, int8.policy, target) if "int8" in precisions else int8.policy
    inputs: dict[str, Any] = {
        "package": package_hash(source.folder),
        "size": [list(size) for size, _ in source.proofs],
        "signature": signature.model_dump(mode="json"),
        "dynamic": dynamic,
        "calibration": ""
        if source.calibration is None
        else sha256_bytes(source.calibration.tobytes()),
        "versions": converter_versions(),
    }
    int8_inputs = {**inputs, "int8": {**int8.as_dict(), "policy": policy}}
    inputs_of = {p: int8_inputs if p == "int8" else inputs for p in precisions}
    wanted = [
        p
        for p in precisions
        if not is_current(folder, source.role, target, p, inputs_of[p], overwrite=overwrite)
    ]
    if "int8" in wanted and target == "tflite" and source.others:
        check_one_range(policy)
    if not wanted:
        say(f"{source.role} {target}: up to date")
        return
    multiple = size_multiple(config, source.folder, dynamic=dynamic)
    free = (-1, -1) if dynamic else shape
    takes = signature.input_info(config.input, free)
    gives = signature.image_info("output", config.output, free)
    proofs = source.proofs
    if dynamic and len(proofs) == 1:
        proofs = [*proofs, larger_proof(source.images, multiple)]
    complexity = measure(module, torch.zeros(input_shape(config.input, shape)))
    with tempfile.TemporaryDirectory(prefix=".convert-", dir=folder) as temporary:
        work = Path(temporary)
        job: dict[str, Any] = {
            "package": str(source.folder.resolve()),
            "target": target,
            "precisions": wanted,
            "samples": [
                [size, store(work, f"samples{index}", images[:REWRITE_SAMPLES])]
                for index, (size, images) in enumerate(source.proofs)
            ],
            "output": str(work.resolve()),
            "signature": signature.model_dump(mode="json"),
            "dynamic": dynamic,
            "multiple": multiple,
        }
        calibration_note = None
        if "int8" in wanted:
            job["int8"], calibration_note = int8_job(source, work, int8, policy, complexity.macs)
            job["int8"]["takes"] = signature.input_info(config.input, shape).model_dump()
            job["int8"]["gives"] = gives.model_dump()
        log = folder / "logs" / f"{source.role}_{target}.log"
        result = run_converter(job, work, log)
        checks = with_signatures(make_checks(module, proofs, takes, gives), result["signatures"])
        for precision in wanted:
            path = work / f"{precision}.{target}"
            name = f"{source.role}_{precision}.{target}"
            parity = prove(path, target, precision, checks, (takes, gives))
            ranking = result["int8"]["ranking"] if precision == "int8" else []
            if ranking:
                write_csv(folder / f"{name}.sensitivity.csv", ranking)
            try:
                check(parity, precision, name, ranking)
            except ParityError as error:
                if precision != "fp32":
                    raise
                raise ParityError(f"{error}; {wrong_layer(job, work, log)}") from error
            teacher_db = None
            if source.validation is not None and source.teacher_outputs is not None:
                teacher_db = fidelity(
                    path, source.validation, source.teacher_outputs, (takes, gives)
                )
            manifest = make_manifest(
                source,
                config,
                target,
                precision,
                path,
                [size for size, _ in proofs],
                (takes, gives),
                result,
                complexity,
                parity,
                teacher_db,
                f"{calibration_note}, {result['int8']['method']}"
                if precision == "int8" and calibration_note
                else None,
            )
            if dynamic:
                sides = {"size_multiple": multiple, "size_smallest": smallest_size(config)}
                manifest = manifest.model_copy(update=sides)
            if precision == "int8" and teacher_db is not None:
                check_drop_to_fp32(
                    folder, name, target, teacher_db, int8.max_drop_db, result["int8"]
                )
            keep(path, folder / name, manifest, inputs_of[precision])
            say_artefact(manifest)


def check_drop_to_fp32(
    folder: Path,
    name: str,
    target: str,
    fidelity: float,
    max_drop_db: float | None,
    made: dict[str, Any],
) -> None:
    """The gate of int8 against fp32 of the same student: as exported, or as the conversion measured it."""
    path = folder / f"student_fp32.{target}"
    fp32_db = read_model(path).psnr_to_teacher_db if path.is_file() else made["fp32_to_teacher_db"]
    if fp32_db is not None:
        check_drop(name, fidelity, fp32_db, max_drop_db, made["ranking"])


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
        say(
            f"  lint {finding['rule']}: {finding['where']}; {finding['cost']} ({finding['reason']})"
        )


def converter_versions() -> dict[str, str]:
    """Versions of what makes artefacts."""
    versions = {}
    for name in ("torch", "litert-torch", "ai-edge-quantizer", "onnx", "onnxruntime", "onnxsim"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def is_current(
    folder: Path, role: str, target: str, precision: str, inputs: dict[str, Any], *, overwrite: bool
) -> bool:
    """Whether an artefact was made from the same inputs and is unchanged; raises OutputError when it is another one."""
    name = f"{role}_{precision}.{target}"
    path = folder / name
    if overwrite or not path.is_file():
        return False
    entry = (
        read_json(folder / EXPORT_MANIFEST)["artefacts"].get(name)
        if (folder / EXPORT_MANIFEST).is_file()
        else None
    )
    if entry is None:
        return False
    if entry["inputs"] != inputs:
        raise OutputError(
            f"{path} was made from another package, size, converter or int8 options; add --overwrite to replace it"
        )
    return sha256_file(path) == entry["sha256"] and path.with_name(name + MODEL_SUFFIX).is_file()


def make_manifest(
    source: Source,
    config: Any,
    target: str,
    precision: str,
    path: Path,
    sizes: list[tuple[int, int]],
    tensors: tuple[TensorInfo, TensorInfo],
    result: dict[str, Any],
    complexity: Any,
    parity: Any,
    fidelity: float | None,
    calibration_note: str | None,
) -> ModelManifest:
    """The model.json of one artefact."""
    return ModelManifest(
        id=f"{config.name}_{source.role}_{precision}",
        title=f"{config.name} {source.role} {precision}",
        role=source.role,  # type: ignore[arg-type]
        family=config.family,
        target=target,  # type: ignore[arg-type]
        precision=precision,  # type: ignore[arg-type]
        quantization=result["quantization"][precision],
        file=f"{source.role}_{precision}.{target}",
        bytes=path.stat().st_size,
        sha256=sha256_file(path),
        task=TASKS[config.input.kind],  # type: ignore[arg-type]
        inputs=[tensors[0]],
        outputs=[tensors[1]],
        sizes=sizes,
        signatures=result["signatures"],
        parameters=complexity.parameters,
        macs=complexity.macs,
        complexity=complexity.summary(),
        parent=f"teacher_fp32.{target}" if source.role == "student" else None,
        parity=parity,
        psnr_to_teacher_db=fidelity,
        operations=result["described"][precision]["operations"],
        computed_in=result["described"][precision]["computed_in"],
        rewrites=result["rewrites"],
        calibration=calibration_note,
        float_layers=result["int8"]["float_layers"] if precision == "int8" else [],
        sensitivity=result["int8"]["ranking"] if precision == "int8" else [],
        int8_forms=result["int8"]["forms"] if precision == "int8" else [],
        lint=result["described"][precision]["lint"],
        licence=config.licence,
        converter=converter_versions(),
        package_sha256=package_hash(source.folder),
    )


def keep(path: Path, final: Path, manifest: ModelManifest, inputs: dict[str, Any]) -> None:
    """Moves a proved artefact into place, then its model.json, then its line in export.json."""
    shutil.move(
        str(path), final
    ) if path.stat().st_dev != final.parent.stat().st_dev else path.rename(final)
    write_json(final.with_name(final.name + MODEL_SUFFIX), manifest.model_dump(mode="json"))
    export_file = final.parent / EXPORT_MANIFEST
    content: dict[str, Any] = (
        read_json(export_file)
        if export_file.is_file()
        else {"schema_version": SCHEMA_VERSION, "artefacts": {}}
    )
    content.update(command=command_line(), updated=now(), environment=environment())
    content["artefacts"][final.name] = {
        "sha256": manifest.sha256,
        "bytes": manifest.bytes,
        "inputs": inputs,
    }
    write_json(export_file, content)
