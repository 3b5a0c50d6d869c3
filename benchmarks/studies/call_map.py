"""How much of edgegan a command enters: `make map`, or `python -m edgegan.benchmarks.studies.call_map -o map.json`.

Each command runs in a process of its own under a profile function, and every function of edgegan that is called there
counts once, with its file; child processes such as the converters do not count. Of `compress` the functions before the
first training step, that is the first call of any optimiser's `step`, count apart: they are what a newcomer reads to
know how a run begins. Functions are what `def` makes, methods and nested ones included; lambdas, comprehensions and the
bodies of modules and classes are not. Teacher and pictures are those of `edgegan quickstart --brief`, made once in the
work folder, and the recipes are the shipped ones with a few steps.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from edgegan.console import emit, table
from edgegan.files import write_json

PACKAGE = "edgegan"
MODULE = "edgegan.benchmarks.studies.call_map"
SKIPPED = ("<lambda>", "<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")
FEW = (
    "data.size=[64, 64]",
    "data.crops=8",
    "data.validation_images=2",
    "distill.steps=4",
    "distill.precision=fp32",
    "distill.compile=false",
)
METHODS: dict[str, tuple[str, ...]] = {
    "distill": ("quickstart",),
    "gan-compression": (
        "cartoongan_search",
        "budget.macs=60000000",
        "supernet.steps=2",
        "search.images=2",
        "search.population=4",
        "search.generations=1",
        "search.check_networks=2",
        "search.check_steps=2",
        "search.finetune_steps=2",
    ),
    "gan-slimming": ("gan_slimming", "budget.bytes=130000"),
}


@dataclass
class Map:
    """The functions entered so far, as (module, qualified name), before and since the first training step."""

    before: set[tuple[str, str]] = field(default_factory=set)
    after: set[tuple[str, str]] = field(default_factory=set)
    stepped: bool = False
    seen: set[CodeType] = field(default_factory=set)

    def note(self, frame: FrameType, event: str, _argument: Any) -> None:
        """A profile function: keeps the code that is entered when it is a function of edgegan."""
        code = frame.f_code
        if event != "call" or code in self.seen:
            return
        self.seen.add(code)
        module = str(frame.f_globals.get("__name__", ""))
        written = bool(code.co_flags & inspect.CO_OPTIMIZED) and not code.co_filename.startswith(
            "<"
        )
        if written and code.co_name not in SKIPPED and module.split(".")[0] == PACKAGE:
            name = getattr(code, "co_qualname", f"{code.co_name}:{code.co_firstlineno}")
            (self.after if self.stepped else self.before).add((module, name))

    def step(self, *_given: Any) -> None:
        """A hook of every optimiser: training has begun."""
        self.stepped = True

    def as_json(self) -> dict[str, Any]:
        """Counts and names; `before` is everything where nothing trained."""
        entered = {"before": self.before, "all": self.before | self.after}
        return {
            "trained": self.stepped,
            **{
                part: {
                    "functions": len(names),
                    "files": len({module for module, _ in names}),
                    "names": sorted(f"{module}:{name}" for module, name in names),
                }
                for part, names in entered.items()
            },
        }


def trace(record: Path, arguments: list[str]) -> None:
    """Runs one command line in this process and writes which functions it entered; ends with its exit code."""
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    found = Map()
    register_optimizer_step_pre_hook(found.step)
    sys.argv = [PACKAGE, *arguments]
    threading.setprofile(found.note)
    sys.setprofile(found.note)
    try:
        from edgegan.cli import main as command_line

        command_line()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
        record.write_text(json.dumps(found.as_json()))


def commands(work: Path) -> dict[str, tuple[list[str], Path]]:
    """By name the command lines to trace, each with what it makes; the last three work on the distilled run."""
    made, run = work / "quickstart", work / "distill"
    data = ["--teacher", str(made / "training" / "teacher"), "--data", str(made / "data" / "train")]
    data += ["--validation", str(made / "data" / "validation")]
    found = {}
    for method, (recipe, *changes) in METHODS.items():
        settings = [part for change in (*FEW, *changes) for part in ("--set", change)]
        line = ["compress", recipe, "-o", str(work / method), *data, *settings]
        found[f"compress {method}"] = line, work / method
    found["export"] = ["export", str(run), "--force"], run / "export"
    found["bench"] = ["bench", str(run), "--seconds", "0.2"], run / "bench"
    found["report"] = ["report", str(run)], run / "report.html"
    return found


def run(arguments: list[str], log: Path) -> None:
    """Runs Python with `arguments`; ends this process with the log's last lines when it fails."""
    with log.open("wb") as file:
        done = subprocess.run(
            [sys.executable, *arguments], stdout=file, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode != 0:
        tail = log.read_text(errors="replace").strip().splitlines()[-5:]
        sys.exit("\n".join([f"exit {done.returncode}: {' '.join(arguments)}", *tail, str(log)]))


def measure(work: Path, only: list[str]) -> dict[str, Any]:
    """The map of every command whose name holds one of `only`, or of all."""
    work.mkdir(parents=True, exist_ok=True)
    quickstart = ["-m", PACKAGE, "quickstart", "--brief", "-o", str(work / "quickstart")]
    run(quickstart, work / "quickstart.log")
    found = {}
    for name, (line, made) in commands(work).items():
        if only and not any(part in name for part in only):
            continue
        if made.is_dir():
            shutil.rmtree(made)
        record = work / "record.json"
        run(["-m", MODULE, "--trace", str(record), *line], work / f"{name.replace(' ', '_')}.log")
        found[name] = {"command": line[0], **json.loads(record.read_text())}
        record.unlink()
    return found


def counts(part: dict[str, Any]) -> str:
    """Functions and files."""
    return f"{part['functions']} / {part['files']}"


def show(found: dict[str, Any]) -> str:
    """A line a command."""
    rows = [
        [name, counts(entry["before"]) if entry["trained"] else "", counts(entry["all"])]
        for name, entry in found.items()
    ]
    return table(["functions / files", "before the first step", "in all"], rows)


def main() -> None:
    """Traces the commands, prints the table and writes the JSON."""
    if sys.argv[1:2] == ["--trace"]:
        trace(Path(sys.argv[2]), sys.argv[3:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("map.json"))
    parser.add_argument("--work", type=Path, help="folder to keep; default a temporary one")
    parser.add_argument("--only", action="append", default=[], help="commands whose name holds it")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="edgegan-map-") as temporary:
        found = measure((given.work or Path(temporary)).resolve(), given.only)
    write_json(given.output, found)
    emit(show(found))


if __name__ == "__main__":
    main()
