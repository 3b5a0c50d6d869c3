"""Hostile and clumsy places to write to, for every command: nothing of the user's may change.

Each call gets a scene of its own: the user's files, and folders of ours in which files of the user's lie.
`python tests/support/fuzz_outputs.py` tries all of them.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from edgegan.files import folder_lock, sha256_file
from support.alone import stop_server
from support.commands import edgegan
from support.fuzz_faults import World, make_world

TINY = ["--set", "data.size=[32,32]", "--set", "data.crops=4", "--set", "student.scale=0.5"]
TINY += ["--set", "distill.steps=1", "--set", "distill.batch=1"]
COMPRESS = "compress resnet --teacher {checkpoint} --data {data} -o {o}"
BENCH = "bench {run}/export/student_int8.tflite --seconds 0.1 --no-peak"
COMMANDS = {
    "import": "import {checkpoint} --size 32 -o {o}",
    "import over": "import {checkpoint} --size 32 --overwrite -o {o}",
    "compress": COMPRESS,
    "compress over": f"{COMPRESS} --overwrite",
    "train over": "train sngan_quick --data {data} --overwrite -o {o}",
    "export": "export {package} --target onnx --precision fp32 -o {o}",
    "export over": "export {package} --target onnx --precision fp32 --overwrite -o {o}",
    "bench": f"{BENCH} -o {{o}}",
    "csv": f"{BENCH} -o {{bench}} --csv {{o}}/notes.csv",
    "report": "report {run} -o {o}/notes.html",
    "evaluate": "evaluate {package} {package} --images {data} -o {o}/notes.json",
    "android": "bundle {run} --target android --overwrite --into {o}",
    "web": "bundle {run} --target web --overwrite -o {o}",
    "run": "run {package} {data} -o {o}",
    "run over": "run {package} {data} --overwrite -o {o}",
    "compare": "compare gan_slimming --teacher {package} --data {data} -o {o}",
    "quickstart": "quickstart --brief -o {o}",
    "quickstart over": "quickstart --brief --overwrite -o {o}",
}
OF_A_RUN = {  # what writes into the run that it reads
    "export it": "export {o} --target onnx --precision fp32 --which student",
    "bench it": "bench {o} --seconds 0.1 --no-peak",
    "report it": "report {o}",
    "web it": "bundle {o} --target web",
    "evaluate it": "evaluate {o} {package} --images {data}",
    "compress over it": f"{COMPRESS} --overwrite",
}
LONG = ("compare", "quickstart", "quickstart over", "train over")  # tried where they are refused


@dataclass
class Scene:
    """One call's files: `root` holds all of them, `output` is what -o names, `cwd` where the command runs."""

    world: World
    root: Path
    output: Path
    cwd: Path
    data: Path
    locked: list[Path] = field(default_factory=list)
    changed: list[Path] = field(default_factory=list)  # ours, but changed by the user
    ours: list[Path] = field(default_factory=list)  # folders whose other files are ours

    def write(self, name: str, text: str = "precious") -> Path:
        """A file of the user's."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def homework(self, folder: str = "mine") -> Path:
        """A folder of the user's, with files named as results are."""
        for name in ("letters.txt", "src/main.c", "picture0.png", "notes.html", "notes.md"):
            self.write(f"{folder}/{name}")
        for name in ("notes.json", "notes.csv", "host__student_int8.tflite.json"):
            self.write(f"{folder}/{name}", '{"mine": 1}')
        self.write(f"{folder}/app/src/main/assets/samples/resnet_0.jpg")
        return self.root / folder


def foreign(scene: Scene) -> None:
    scene.output = scene.homework()


def marked(scene: Scene) -> None:
    """Another program's folder whose files have our manifests' names."""
    scene.output = scene.homework()
    for name in ("config.json", "run.json", "export.json", "model.json", "models/index.json"):
        scene.write(f"mine/{name}", '{"name": "web shop", "files": {}, "stages": {}}')
    for name in ("quickstart.json", "compare.json", ".lock", ".edgegan"):
        scene.write(f"mine/{name}", '{"plan": "holidays"}')


def crafted(scene: Scene) -> None:
    """A received run and its list that name files outside."""
    inside_run(scene)
    manifest = json.loads((scene.output / "run.json").read_text())
    outside = str(scene.write("victim.txt"))
    stage = next(iter(manifest["stages"].values()))
    stage["outputs"] |= {"../victim.txt": "0" * 64, outside: "0" * 64}
    (scene.output / "run.json").write_text(json.dumps(manifest))
    with (scene.output / ".edgegan").open("a") as file:
        for name in ("../victim.txt", outside, "stages/../../victim.txt"):
            file.write(json.dumps({"path": name}) + "\n")


def a_file(scene: Scene) -> None:
    scene.homework()
    scene.output = scene.write("thesis.html")


def link(scene: Scene) -> None:
    scene.output = scene.root / "link"
    scene.output.symlink_to(scene.homework())


def link_to_file(scene: Scene) -> None:
    scene.output = scene.root / "link"
    scene.output.symlink_to(scene.write("victim.txt"))


def dangling(scene: Scene) -> None:
    scene.output = scene.root / "link"
    scene.output.symlink_to(scene.root / "nowhere")


def here(scene: Scene) -> None:
    scene.cwd, scene.output = scene.homework(), Path()


def above(scene: Scene) -> None:
    scene.cwd, scene.output = scene.homework() / "src", Path("..")


def home(scene: Scene) -> None:
    scene.output = scene.homework("home")
    scene.write("home/.bashrc")


def parent_of_inputs(scene: Scene) -> None:
    scene.homework("data/sub")
    scene.output = scene.data.parent


def the_inputs(scene: Scene) -> None:
    scene.output = scene.data


def inside_package(scene: Scene) -> None:
    """A package with the user's notes, and a model card that the user wrote on."""
    scene.output = Path(shutil.copytree(scene.world.package, scene.root / "package"))
    scene.ours.append(scene.output)
    scene.write("package/notes.txt")
    scene.changed.append(scene.write("package/README.md", "my own words"))


def inside_run(scene: Scene) -> None:
    """A run with files of the user's in every corner."""
    scene.output = Path(shutil.copytree(scene.world.run, scene.root / "old"))
    scene.ours.append(scene.output)
    for name in (
        "notes.txt",
        "stages/notes.txt",
        "stages/teacher_cache/mine.npy",
        "samples/me.png",
    ):
        scene.write(f"old/{name}")
    for name in (
        "student/notes.txt",
        "export/mine.onnx",
        "export/logs/mine.txt",
        "bench/mine.json",
    ):
        scene.write(f"old/{name}")
    for name in ("notes.html", "notes.json", "notes.md", "notes.csv", "picture0.png"):
        scene.write(f"old/{name}")
    scene.changed.append(scene.write("old/recipe.yaml", "name: mine"))
    scene.changed.append(scene.write("old/student/README.md", "my own words"))


def links_in_run(scene: Scene) -> None:
    """A received run whose parts are links to the user's files."""
    inside_run(scene)
    for name in (".lock", "metrics.jsonl", "recipe.yaml", "report.html", "evaluate.json"):
        path = scene.output / name
        path.unlink(missing_ok=True)
        path.symlink_to(scene.write(f"victims/{name}"))
    for name in ("stages", "student", "export", "bench", "web"):
        if (scene.output / name).exists():
            shutil.rmtree(scene.output / name)
        (scene.output / name).symlink_to(scene.homework(f"victims/{name}"))
    scene.changed.clear()


def one_link(name: str) -> Callable[[Scene], None]:
    """A received run one part of which is a link to something of the user's."""

    def prepare(scene: Scene) -> None:
        inside_run(scene)
        path = scene.output / name
        is_folder = name in FOLDERS
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.symlink_to(scene.homework("victim") if is_folder else scene.write("victim.txt"))

    return prepare


def busy(scene: Scene) -> None:
    """A run that another edgegan writes."""
    inside_run(scene)
    scene.locked.append(scene.output)
    scene.changed.clear()


def inputs_in_run(scene: Scene) -> None:
    """The pictures lie in the run that is replaced."""
    inside_run(scene)
    scene.data = Path(shutil.copytree(scene.data, scene.output / "pictures"))


def unfinished_write(scene: Scene) -> None:
    """Hidden files of the user's, named as ours are while they are made."""
    scene.output = scene.root / "new"
    for name in (
        ".new.partial/mine.txt",
        ".new.abcd.partial/model.txt",
        ".new.old.partial/mine.txt",
    ):
        scene.write(name)


PLACES: dict[str, Callable[[Scene], None]] = {
    "foreign": foreign,
    "marked": marked,
    "crafted": crafted,
    "a file": a_file,
    "link": link,
    "link to a file": link_to_file,
    "dangling": dangling,
    "here": here,
    "above": above,
    "home": home,
    "parent of inputs": parent_of_inputs,
    "the inputs": the_inputs,
    "inside a package": inside_package,
    "inside a run": inside_run,
    "links in a run": links_in_run,
    "busy": busy,
    "inputs in a run": inputs_in_run,
    "unfinished": unfinished_write,
}
FOLDERS = ("stages", "student", "export", "bench", "web")
FILES = (".lock", ".edgegan", "run.json", "metrics.jsonl", "report.html", "evaluate.json")
LINKS = {f"{name} is a link": one_link(name) for name in (*FOLDERS, *FILES)}
ACCEPTED = ("dangling", "unfinished")  # new places: long commands would work there
CALLS = [
    (command, place)
    for place in PLACES
    for command in COMMANDS
    if not (command in LONG and place in (*ACCEPTED, "crafted", "inside a run", "inputs in a run"))
]
CALLS += [
    (command, place)
    for command in OF_A_RUN
    for place in (*LINKS, "inside a run", "crafted", "busy", "foreign", "marked")
]


def snapshot(scene: Scene) -> dict[Path, str]:
    """The user's files with their hashes: all but those of ours that the user did not change."""
    listed = {path for folder in scene.ours for path in ours_in(folder, scene)}
    return {
        path: sha256_file(path)
        for path in scene.root.rglob("*")
        if path.is_file() and not path.is_symlink() and path not in listed
    }


def ours_in(folder: Path, scene: Scene) -> set[Path]:
    """Files of a copied folder that are as they were copied."""
    source = scene.world.package if folder.name == "package" else scene.world.run
    found = set()
    for path in folder.rglob("*"):
        twin = source / path.relative_to(folder)
        same = path.is_file() and twin.is_file() and sha256_file(path) == sha256_file(twin)
        if same or path.name in (".edgegan", ".lock", "run.json"):
            found.add(path)
    return found


def lost(before: dict[Path, str], scene: Scene) -> list[Path]:
    """The user's files whose bytes are not there any more; one that edgegan had written may stand beside its place."""
    wrong = []
    for path, sha256 in before.items():
        places = (
            [path, *path.parent.glob(f"{path.name}.kept*")] if path in scene.changed else [path]
        )
        if not any(each.is_file() and sha256_file(each) == sha256 for each in places):
            wrong.append(path)
    return wrong


def attempt(world: World, work: Path, command: str, place: str) -> str | None:
    """One call; returns what is wrong with it, or None."""
    root = work / "scene"
    shutil.rmtree(root, ignore_errors=True)
    data = Path(shutil.copytree(world.pictures, root / "data/pictures"))
    scene = Scene(world, root, root / "new", root, data)
    scene.write("home/.profile")
    {**PLACES, **LINKS}[place](scene)
    texts = {"o": scene.output, "data": scene.data, "bench": root / "records"} | vars(world)
    words = [word.format(**texts) for word in {**COMMANDS, **OF_A_RUN}[command].split(" ")]
    words += TINY if command.startswith("compress") else []
    words += ["--set", "train.steps=1"] if command.startswith("train") else []
    before = snapshot(scene)
    with ExitStack() as stack:
        for folder in scene.locked:
            stack.enter_context(folder_lock(folder))
        env = {**os.environ, "HOME": str(root / "home")}
        done = edgegan(*words, check=False, cwd=scene.cwd, env=env, timeout=120)
    said = done.stderr[-400:]
    if done.returncode not in (0, 2, 3, 4) or "Traceback" in done.stderr:
        return f"exit {done.returncode}: {said}"
    gone = lost(before, scene)
    return f"lost {gone} (exit {done.returncode}: {said})" if gone else None


def main() -> None:
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="edgegan-outputs-") as work:
        (Path(work) / "world").mkdir()
        world = make_world(Path(work) / "world")
        for command, place in CALLS:
            problem = attempt(world, Path(work), command, place)
            if problem:
                wrong += 1
                sys.stdout.write(f"WRONG {command}, {place}: {problem}\n")
                sys.stdout.flush()
    stop_server()
    sys.stdout.write(f"{len(CALLS)} calls, {wrong} wrong\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
