"""Kills, full disks, read-only folders, lost and damaged files: the end is as undisturbed, or an error is clear."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from support.alone import finish_command, start_command

from edgegan.artefact import exported_models
from edgegan.errors import DeviceError
from edgegan.files import read_json, sha256_file
from edgegan.training.memory import explain_out_of_memory

SIZES = {"data.size": [32, 32], "data.crops": 8, "student.scale": 0.5}
STEPS = {"distill.steps": 8, "distill.batch": 2, "distill.checkpoint_seconds": 0.03}
STUDENT = "student/model.safetensors"


def compress_command(teacher: Path, pictures: Path, run: Path) -> list[object]:
    """A compress of a second."""
    values = {"teacher": str(teacher), "data.train": str(pictures), **SIZES, **STEPS}
    settings = [f"--set={key}={json.dumps(value)}" for key, value in values.items()]
    return ["compress", "resnet", "-o", run, *settings]


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, resnet_checkpoint: Path, pictures: Path
) -> Path:
    """A run that nothing happened to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    command = compress_command(resnet_checkpoint, pictures, folder / "run")
    assert finish_command(command, folder / "log")[0] == 0
    return folder / "run"


def kill_often(
    command: list[object], log: Path, kills: int, span_s: tuple[float, float], seed: int
) -> int:
    """Starts a command again and again and kills each at a random moment; returns how many it really cut short."""
    chance, cut = random.Random(seed), 0
    for _ in range(kills):
        process = start_command(command, log)
        process.join(chance.uniform(*span_s))
        cut += process.exitcode is None
        process.kill()
        process.join()
    return cut


def test_killed_compressing_ends_as_undisturbed(
    undisturbed: Path, tmp_path: Path, resnet_checkpoint: Path, pictures: Path
) -> None:
    command = compress_command(resnet_checkpoint, pictures, tmp_path / "run")
    assert kill_often(command, tmp_path / "log", 14, (0.02, 0.9), seed=1) >= 3
    assert finish_command(command, tmp_path / "log")[0] == 0
    assert sha256_file(tmp_path / "run" / STUDENT) == sha256_file(undisturbed / STUDENT)
    lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    assert lines == (undisturbed / "metrics.jsonl").read_text().splitlines()


def test_killed_export_bench_and_report_end_as_undisturbed(
    finished_run: Path, tmp_path: Path
) -> None:
    """An artefact is lost and exported again, benched and reported, each killed on the way."""
    run, log = tmp_path / "run", tmp_path / "log"
    shutil.copytree(finished_run, run)
    before = {path.name: model.sha256 for path, model in exported_models(run / "export")}
    (run / "export/student_fp32.onnx").unlink()
    export = ["export", run, "--target", "onnx", "--precision", "fp32", "--which", "student"]
    cut = kill_often(export, log, 5, (0.1, 2.5), seed=2)
    assert finish_command(export, log)[0] == 0
    assert {path.name: model.sha256 for path, model in exported_models(run / "export")} == before
    assert not list((run / "export").glob(".convert-*"))
    bench = ["bench", run / "export/student_int8.tflite", "--seconds", "0.1", "--no-peak"]
    bench += ["-o", run / "bench"]
    cut += kill_often(bench, log, 5, (0.05, 0.8), seed=3)
    assert finish_command(bench, log)[0] == 0
    report = ["report", run]
    assert finish_command(report, log)[0] == 0
    wanted = read_json(run / "report.json")
    cut += kill_often(report, log, 6, (0.02, 0.7), seed=4)
    assert finish_command(report, log)[0] == 0
    found = read_json(run / "report.json")
    assert {**found, "written": ""} == {**wanted, "written": ""}
    assert cut >= 6


def test_termination_is_clean(
    undisturbed: Path, tmp_path: Path, resnet_checkpoint: Path, pictures: Path
) -> None:
    """SIGTERM as Ctrl-C: exit 130, one line, nothing half, and the same command goes on."""
    command = compress_command(resnet_checkpoint, pictures, tmp_path / "run")
    process = start_command(command, tmp_path / "log")
    deadline = time.monotonic() + 60
    while not (tmp_path / "run/stages/student/checkpoint.pt").is_file():
        assert time.monotonic() < deadline and process.is_alive()
        time.sleep(0.005)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGTERM)
    process.join()
    text = (tmp_path / "log").read_text()
    if process.exitcode != 0:  # it may have been done by then
        assert process.exitcode == 130, text
        assert "goes on from what is finished" in text and "Traceback" not in text
    assert not list((tmp_path / "run").rglob("*.partial"))
    assert finish_command(command, tmp_path / "log")[0] == 0
    assert sha256_file(tmp_path / "run" / STUDENT) == sha256_file(undisturbed / STUDENT)


@contextmanager
def mounted(*arguments: str, at: Path) -> Iterator[Path]:
    """A mount for a while; skipped where it is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    at.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *arguments, str(at)], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"mount is not allowed here: {done.stderr.strip()}")
    try:
        yield at
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


def leave_free(folder: Path, free_bytes: int) -> Path:
    """Fills a file system but for so many bytes; returns the file that does."""
    filler = folder / "filler"
    filler.unlink(missing_ok=True)
    about = os.statvfs(folder)
    with filler.open("wb") as file:
        os.posix_fallocate(
            file.fileno(), 0, max(4096, about.f_bavail * about.f_frsize - free_bytes)
        )
    return filler


def test_full_disk_loses_nothing(
    undisturbed: Path, tmp_path: Path, resnet_checkpoint: Path, pictures: Path
) -> None:
    """64 MB, filled but for a part of what the run needs; once there is room the same command ends as undisturbed."""
    log = tmp_path / "log"
    needed = sum(path.stat().st_size for path in undisturbed.rglob("*") if path.is_file())
    with mounted("-t", "tmpfs", "-o", "size=64m", "tmpfs", at=tmp_path / "disk") as disk:
        run = disk / "run"
        command = compress_command(resnet_checkpoint, pictures, run)
        failures = 0
        for share in (0.0, 0.2, 0.5, 0.8):
            shutil.rmtree(run, ignore_errors=True)
            filler = leave_free(disk, int(share * needed) + 4096)
            code, text = finish_command(command, log)
            failures += code != 0
            assert code in (0, 2), text
            assert "Traceback" not in text
            assert code == 0 or "No space left on device" in text
            filler.unlink()
            code, text = finish_command(command, log)
            assert code == 0, text
            assert sha256_file(run / STUDENT) == sha256_file(undisturbed / STUDENT)
        assert failures >= 3


def test_full_disk_for_what_follows(finished_run: Path, tmp_path: Path) -> None:
    """Export, bench and report on a full disk: exit 2 naming it, and what was there stays."""
    log = tmp_path / "log"
    with mounted("-t", "tmpfs", "-o", "size=64m", "tmpfs", at=tmp_path / "disk") as disk:
        run = disk / "run"
        shutil.copytree(finished_run, run)
        # With a steady record there, an unsteady measurement has nothing to write.
        (run / "bench/host__student_int8.tflite.json").unlink()
        leave_free(disk, 0)
        export, *others = following(run)
        for command in others:
            before = contents(run)
            code, text = finish_command(command, log)
            assert code == 2, (command, text)
            assert "No space left on device" in text and "Traceback" not in text
            assert contents(run) == before
        (run / "export/student_fp32.onnx").unlink()
        before = contents(run)
        code, text = finish_command(export, log)
        assert code == 2 and "No space left on device" in text and "Traceback" not in text, text
        assert contents(run) == before


def following(run: Path) -> list[list[object]]:
    """The commands after compress, each with something to write; the first makes student_fp32.onnx again."""
    int8 = run / "export/student_int8.tflite"
    return [
        ["export", run, "--target", "onnx", "--precision", "fp32", "--which", "student"],
        ["bench", int8, "--seconds", "0.1", "--no-peak", "-o", run / "bench"],
        ["report", run],
    ]


def contents(folder: Path) -> dict[str, str]:
    """Hashes of all files but logs, locks and lists."""
    return {
        str(path.relative_to(folder)): sha256_file(path)
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".log" and path.name not in (".lock", ".edgegan")
    }


def test_read_only_output_is_named(
    finished_run: Path, tmp_path: Path, resnet_checkpoint: Path, pictures: Path
) -> None:
    source, log = tmp_path / "source", tmp_path / "log"
    shutil.copytree(finished_run, source / "run")
    before = contents(source)
    with mounted("--bind", str(source), at=tmp_path / "seen") as seen:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(seen)], check=True)
        export, *others = following(seen / "run")
        compressing = compress_command(resnet_checkpoint, pictures, seen / "new")
        for command in (compressing, [*export, "--overwrite"], *others):
            code, text = finish_command(command, log)
            assert code == 2, (command, text)
            assert "Read-only file system" in text and "Traceback" not in text
    assert contents(source) == before


def damage(path: Path) -> None:
    """Changes one bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("fault", [Path.unlink, damage])
def test_lost_and_damaged_files_are_made_again(
    undisturbed: Path, tmp_path: Path, resnet_checkpoint: Path, pictures: Path, fault: object
) -> None:
    """Each finished stage's files: the same command finds the fault by hash and ends as undisturbed."""
    assert callable(fault)
    run = tmp_path / "run"
    command = compress_command(resnet_checkpoint, pictures, run)
    for name in (
        "teacher/model.safetensors",
        "stages/teacher_cache/train_output.npy",
        "stages/teacher_cache/cache.json",
        STUDENT,
    ):
        if not run.exists():
            shutil.copytree(undisturbed, run)
        fault(run / name)
        code, text = finish_command(command, tmp_path / "log")
        assert code == 0, (name, text)
        for kept in (name, STUDENT):
            assert sha256_file(run / kept) == sha256_file(undisturbed / kept), (name, kept)


def test_damaged_checkpoint_is_not_resumed(
    undisturbed: Path, tmp_path: Path, resnet_checkpoint: Path, pictures: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run)
    damage(run / "stages/student/checkpoint.pt")
    (run / STUDENT).unlink()
    command = compress_command(resnet_checkpoint, pictures, run)
    code, text = finish_command(command, tmp_path / "log")
    assert code == 0, text
    assert "checkpoint.pt is damaged (sha256 differs): this stage starts again" in text
    assert sha256_file(run / STUDENT) == sha256_file(undisturbed / STUDENT)


def test_damaged_artefact_is_refused_then_made_again(finished_run: Path, tmp_path: Path) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    shutil.copytree(finished_run, run)
    damage(run / "export/student_fp32.onnx")
    for command in (["bench", run, "--seconds", "0.1"], ["report", run]):
        code, text = finish_command([*command], log)
        assert code == 3, text
        assert "student_fp32.onnx is not the file its manifest describes" in text
    export = following(run)[0]
    assert finish_command(export, log)[0] == 0
    kept = "export/student_fp32.onnx"
    assert sha256_file(run / kept) == sha256_file(finished_run / kept)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_out_of_memory_says_what_to_lower(error: Exception) -> None:
    lower = ("distill.batch", "data.size")
    with (
        pytest.raises(DeviceError) as caught,
        explain_out_of_memory("cuda:0", 8, (512, 256), lower),
    ):
        raise error
    text = str(caught.value)
    assert "the GPU ran out of memory at batch 8 and 512x256 pixels" in text
    assert "lower distill.batch, data.size, or set device: cpu" in text
    assert "more" not in text


def test_other_errors_are_not_memory() -> None:
    with pytest.raises(RuntimeError, match="shape"), explain_out_of_memory("cpu", 1, (8, 8), ()):
        raise RuntimeError("shape")


def test_compress_explains_memory(
    tmp_path: Path, resnet_checkpoint: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raised where steps are taken, said by compress."""
    from edgegan.compress import pipeline, uniform_student
    from edgegan.recipe.loading import load_recipe

    def starve(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(uniform_student, "distill", starve)
    values = {"teacher": str(resnet_checkpoint), "data.train": str(pictures), **SIZES, **STEPS}
    recipe = load_recipe("resnet", [f"{key}={json.dumps(value)}" for key, value in values.items()])
    with pytest.raises(DeviceError, match=r"at batch 2 and 32x32 pixels .*lower distill\.batch"):
        pipeline.compress(recipe, tmp_path / "run")
