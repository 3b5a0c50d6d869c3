"""Spoilt files through every command that reads them: no traceback, no more memory than the rule, no endless wait,
nothing touched outside the folder.

`make fuzz` tries 5,000 of them, `python -m support.fuzz_files --first SEED --count 1 --keep FOLDER` repeats one. A try
is a function of its seed alone: a file of a whole workspace is spoilt in a way of its kind, sometimes with its new hash
in the manifests as if it had been made so, and a command that reads it is forked from a server that has imported
everything.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edgegan.files import sha256_bytes, sha256_file
from support import alone
from support.commands import ROOT, compress_arguments, edgegan, make_pictures
from support.fuzz_place import TARGETS, Spoilt, copy_place, make_place, restamp
from support.hostile_graphs import spoil_onnx, spoil_tflite
from support.hostile_values import SPOIL, Mutate

DEADLINE_S = 60.0
TIMES_FILE = 50
NOISE = 1.1  # of one command's memory from run to run
RULE_MB = 500.0
POLL_S = 0.025
SPOILS: dict[str, Mutate] = {**SPOIL, "onnx": spoil_onnx, "tflite": spoil_tflite}
RESTAMPED = 0.6  # of the tries have the spoilt file's hash in the manifests
EXPECTED = (0, 2, 3, 4)
SLOW = ("export", "bench", "compress", "train", "report", "bundle", "evaluate", "run")
CHEAP_SHARE = 0.06  # of the weight of slow commands where few seconds are to be spent


@dataclass(frozen=True)
class Try:
    """One try: what was spoilt, what was called, and what is wrong with how it ended, if anything."""

    seed: int
    path: str
    kind: str
    command: str
    code: int | None
    seconds: float
    peak_mb: float
    wrong: str
    words: str

    @property
    def name(self) -> str:
        """The command's first word."""
        return self.command.split()[0]


def measured(arguments: list[str], note: str) -> None:
    """In the child: the command, with its memory before and at most in `note`."""
    Path(note).write_text(f"{status_kb('self', 'VmRSS')}\n")
    try:
        alone.call_main("edgegan.cli", "edgegan", arguments)
    finally:
        with Path(note).open("a") as file:
            file.write(f"{status_kb('self', 'VmHWM')}\n")


def status_kb(process: int | str, key: str) -> int:
    """A number of kilobytes from a process's status; 0 when it is gone."""
    try:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def program(process: int) -> bytes:
    """The command line of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def descendants(process: int) -> Iterator[int]:
    """Every living process below this one."""
    try:
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                if b"--serve" in program(child):
                    continue  # the server of converters, which stays for the next command
                yield child
                yield from descendants(child)
    except OSError:
        return


@cache
def fresh_mb() -> float:
    """What an interpreter of its own takes for the same imports, which a forked one shares with its server."""
    code = "import edgegan.compress.pipeline, sys; print(open('/proc/self/status').read())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    line = next(each for each in told.stdout.splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def crowding() -> float:
    """How many processes wait for each core, at least one: a wait for others is none of the command's."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of last change of every file below."""
    found = {}
    for path in folder.rglob("*"):
        about = path.lstat()
        if not path.is_dir():
            found[str(path)] = (about.st_size, about.st_mtime_ns)
    return found


def choose(seed: int, *, cheap: bool) -> tuple[random.Random, Spoilt, str]:
    """The file and the command of a seed."""
    chance = random.Random(seed)
    target = chance.choices(TARGETS, [each.weight for each in TARGETS])[0]
    weights = [
        weight * (CHEAP_SHARE if cheap and command.split()[0] in SLOW else 1)
        for command, weight in target.commands.items()
    ]
    if cheap and sum(weights) < 0.5 and chance.random() > sum(weights):
        return choose(seed + 1_000_003, cheap=cheap)
    return chance, target, chance.choices(list(target.commands), weights)[0]


def attempt(seed: int, place: Path, scratch: Path, *, cheap: bool = False) -> Try:
    """Spoils a file of a copy of `place` in `scratch` and runs a command there."""
    chance, target, command = choose(seed, cheap=cheap)
    folder = scratch / "here"
    shutil.rmtree(folder, ignore_errors=True)
    copy_place(place, folder)
    (folder / "tmp").mkdir()
    path = folder / target.path
    data = path.read_bytes()
    spoilt = SPOILS[target.kind](data, chance)
    path.unlink()
    path.write_bytes(spoilt)
    if chance.random() < RESTAMPED:
        restamp(folder, sha256_bytes(data), sha256_file(path))
    environment = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config")}
    environment |= {"TMPDIR": str(folder / "tmp"), "EDGEGAN_CACHE": str(folder / "cache")}
    if target.kind == "answer":
        environment["EDGEGAN_PYTHON_ONNXRUNTIME"] = str(folder / "worker")
    before = stamps(place) | stamps(scratch / "outside")
    done = run_watched(command.split(), folder, environment)
    wrong = judge(done, len(spoilt))
    if wrong and done.peak_mb > RULE_MB and done.code in EXPECTED:
        wrong = judge(done, len(spoilt), usual_mb(command, place, scratch, environment))
    if stamps(place) | stamps(scratch / "outside") != before:
        wrong = "changed a file outside"
    return Try(
        seed,
        target.path,
        target.kind,
        command,
        done.code,
        done.seconds,
        done.peak_mb,
        wrong,
        done.said,
    )


@dataclass(frozen=True)
class Done:
    """How a command ended; `code` is None for one that was stopped."""

    code: int | None
    seconds: float
    peak_mb: float
    said: str


def run_watched(words: list[str], folder: Path, environment: dict[str, str]) -> Done:
    """Runs a command to its end or its deadline, watching the memory of it and of its children."""
    log, note = folder.parent / "log", folder.parent / "note"
    note.write_text("")
    began = time.monotonic()
    process = alone.start(measured, words, str(note), output=log, cwd=folder, env=environment)
    assert process.pid is not None
    own, others = 0, {0: 0}
    deadline = DEADLINE_S * crowding()
    while process.exitcode is None and time.monotonic() - began < deadline:
        own = max(own, status_kb(process.pid, "VmHWM"))
        for child in descendants(process.pid):
            if program(child) != program(
                process.pid
            ):  # until it has its own it shares its parent's
                others[child] = max(others.get(child, 0), status_kb(child, "VmHWM"))
        process.join(POLL_S)
    code = process.exitcode
    if code is None:
        for child in [*descendants(process.pid), process.pid]:
            try:
                os.kill(child, 9)
            except ProcessLookupError:
                continue
        process.join()
    numbers = [int(line) for line in note.read_text().split()]
    grown = max([own, *numbers[1:]]) - (numbers[0] if numbers else 0)
    peak_mb = fresh_mb() + (grown + max(others.values())) / 1024
    said = log.read_bytes().decode(errors="replace")
    return Done(code, time.monotonic() - began, peak_mb, said)


def usual_mb(command: str, place: Path, scratch: Path, environment: dict[str, str]) -> float:
    """The memory that a command takes on whole files: a converter alone takes more than 500 MB."""
    shutil.rmtree(scratch / "whole", ignore_errors=True)
    copy_place(place, scratch / "whole")
    (scratch / "whole" / "tmp").mkdir()
    moved = {
        key: value.replace(str(scratch / "here"), str(scratch / "whole"))
        for key, value in environment.items()
        if key != "EDGEGAN_PYTHON_ONNXRUNTIME"
    }
    return run_watched(command.split(), scratch / "whole", moved).peak_mb


def judge(done: Done, file_bytes: int, usual: float = 0.0) -> str:
    """What is wrong with how a command ended; empty when nothing is. `usual` is what it takes on whole files."""
    if done.code is None:
        return f"no end in {done.seconds:.0f} s"
    if done.code not in EXPECTED or "Traceback (most" in done.said or "this is a bug" in done.said:
        return f"exit {done.code}"
    if done.peak_mb > max(RULE_MB, usual * NOISE) + TIMES_FILE * file_bytes / 1e6:
        return f"{done.peak_mb:.0f} MB for {file_bytes:,} bytes"
    return ""


def fuzz(seeds: range, place: Path, scratch: Path, *, cheap: bool = False) -> Iterator[Try]:
    """Every seed's try."""
    (scratch / "outside").mkdir(parents=True, exist_ok=True)
    (scratch / "outside" / "mine.txt").write_text("mine")
    whole = {path: sha256_file(Path(path)) for path in stamps(place)}
    for seed in seeds:
        yield attempt(seed, place, scratch, cheap=cheap)
    changed = [path for path, value in whole.items() if sha256_file(Path(path)) != value]
    assert not changed, f"a command wrote through {changed[0]}"


def build_place(folder: Path) -> Path:
    """A workspace made from nothing: a tiny teacher, a run, its artefacts, a bench."""
    import torch

    from edgegan.models.resnet.keymap import namer
    from edgegan.models.resnet.network import ResnetGenerator, ResnetSpec

    torch.manual_seed(0)
    made = Path(tempfile.mkdtemp(prefix="edgegan-fuzz-"))
    name = namer(blocks=3, second=5)
    state = ResnetGenerator(ResnetSpec.from_ngf(16, 3)).state_dict()
    torch.save({name(key): value for key, value in state.items()}, made / "net_G.pth")
    make_pictures(made / "pictures", 10)
    edgegan(*compress_arguments(made / "net_G.pth", made / "pictures", made / "run"))
    edgegan("export", made / "run")
    edgegan("bench", made / "run", "--seconds", "0.2")
    try:
        return make_place(folder, made / "run", made / "net_G.pth")
    finally:
        shutil.rmtree(made)


def table(tries: list[Try]) -> str:
    """How the tries ended, a row for each command and kind of file."""
    rows = [
        f"{'command':10} {'file':12} {'tries':>6} {'done':>6} {'refused':>8} {'wrong':>6} {'most MB':>8} {'most s':>7}"
    ]
    groups = sorted({(each.name, each.kind) for each in tries})
    for group in [*groups, ("all", "")]:
        mine = [each for each in tries if group[0] == "all" or (each.name, each.kind) == group]
        wrong = sum(bool(each.wrong) for each in mine)
        whole = sum(each.code == 0 and not each.wrong for each in mine)
        rows.append(
            f"{group[0]:10} {group[1]:12} {len(mine):6} {whole:6} {len(mine) - whole - wrong:8} {wrong:6} "
            f"{max(each.peak_mb for each in mine):8.0f} {max(each.seconds for each in mine):7.1f}"
        )
    kinds = Counter(each.wrong.split()[0] for each in tries if each.wrong)
    rows.append(f"wrong: {dict(kinds) or 'none'}")
    return "\n".join(rows)


def last_words(said: str) -> str:
    """The end of what a command printed."""
    return "\n".join(line[:300] for line in said.strip().splitlines()[-8:])


def main() -> None:
    """Tries a range of seeds; exit 1 when one of them ends wrong, with its seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument(
        "--place", type=Path, help="workspace to keep between calls; made when absent"
    )
    parser.add_argument("--cheap", action="store_true", help="commands of many seconds seldom")
    parser.add_argument("--keep", type=Path, help="folder where the last try's files stay")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the table is printed all the same
    scratch = arguments.keep or Path(tempfile.mkdtemp(prefix="edgegan-fuzz-"))
    place = arguments.place or scratch / "place"
    if not place.is_dir():
        build_place(place)
    tries: list[Try] = []
    seeds = range(arguments.first, arguments.first + arguments.count)
    try:
        for each in fuzz(seeds, place.absolute(), scratch.absolute(), cheap=arguments.cheap):
            tries.append(each)
            if each.wrong:
                print(f"WRONG seed {each.seed}: {each.wrong}: {each.path}: edgegan {each.command}")
                print("  " + "\n  ".join(last_words(each.words).splitlines()), flush=True)
            elif len(tries) % 100 == 0:
                print(f"{len(tries)} tried", file=sys.stderr, flush=True)
    finally:
        alone.stop_server()
        if tries:
            print(table(tries))
        if not arguments.keep:
            shutil.rmtree(scratch, ignore_errors=True)
    again = f"cd {ROOT}/tests && python -m support.fuzz_files --first SEED --count 1 --keep FOLDER"
    wrong = any(each.wrong for each in tries)
    print(f"again: {again}{' --cheap' if arguments.cheap else ''}" if wrong else "nothing wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
