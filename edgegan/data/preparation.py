"""A public data set made ready: what is in an archive goes where recipes find it, whole or not at all."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edgegan.console import progress, say
from edgegan.data.collected import HOW, Read, files_of, listed_files
from edgegan.data.datasets import key, match, split_indices
from edgegan.data.images import list_images
from edgegan.data.placing import Output, aligned, cityscapes, unpaired
from edgegan.data.published_sets import PublishedSet, published_set
from edgegan.errors import InputError, OutputError
from edgegan.files import make_folder, read_json, sha256_json, write_atomic, write_json
from edgegan.ownership.folders import held

MANIFEST = "dataset.json"
SCHEMA_VERSION = 1
SHOWN = 3
Rule = Callable[[str], list[Output]]
NEEDED = {"unpaired": ("trainA", "trainB"), "aligned": ("train",), "pairs": ()}


@dataclass(frozen=True)
class Plan:
    """What is to be written: for each source its files, each with its outputs."""

    files: list[tuple[Path, dict[str, list[Output]]]]

    def paths(self) -> list[str]:
        """Every output, sorted."""
        return sorted(o.path for _, found in self.files for each in found.values() for o in each)

    def counts(self) -> dict[str, int]:
        """Outputs of each folder, that of a city in the folder of its part."""
        parts = [path.split("/") for path in self.paths()]
        return dict(Counter("/".join(p[: max(1, min(2, len(p) - 1))]) for p in parts))


def prepare(
    name: str,
    sources: Sequence[Path],
    output: Path,
    *,
    size: tuple[int, int] | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Writes a data set to `output` and returns its manifest, with the commands that use it; one that is there already
    stays. Raises InputError for sources that are not that data set, OutputError for a folder that is the user's."""
    about = published_set(name)
    plan = plan_pairs(sources, seed) if about.form == "pairs" else plan_files(about, sources, size)
    check_plan(name, about, plan, sources)
    sizes = [sorted(listed_files(source).items()) for source in sources]
    inputs = sha256_json([name, [size, seed], sizes])
    with held(output, "dataset", overwrite=overwrite, inputs=sources):
        written = read_json(output / MANIFEST) if (output / MANIFEST).is_file() else None
        if written is not None and written.get("key") == inputs:
            say(f"{output} is up to date")
        elif written is not None:
            raise OutputError(f"{output} holds another data set; --overwrite replaces it")
        else:
            write_files(plan, output)
        manifest = {
            "schema_version": SCHEMA_VERSION,
            "data_set": name,
            "key": inputs,
            "sources": [str(source) for source in sources],
            "size": size,
            "counts": plan.counts(),
            "published": about.counts,
            "commands": commands(name, about, plan.counts(), output),
        }
        write_json(output / MANIFEST, manifest)
    return manifest


def plan_files(about: PublishedSet, sources: Sequence[Path], size: tuple[int, int] | None) -> Plan:
    """The outputs of every file of the sources; all of an archive is looked through, nothing is written."""
    rules: dict[str, Rule] = {
        "unpaired": unpaired,
        "aligned": aligned,
        "cityscapes": partial(cityscapes, size=size),
    }
    rule = rules[about.form]
    found = []
    for source in sources:
        placed = {name: rule(name) for name in listed_files(source)}
        found.append((source, {name: outputs for name, outputs in placed.items() if outputs}))
    return Plan(found)


def plan_pairs(sources: Sequence[Path], seed: int) -> Plan:
    """Two folders of pictures matched by name; a seeded tenth is kept for validation."""
    if len(sources) != 2 or not all(source.is_dir() for source in sources):
        raise InputError("pairs takes two folders: that of the inputs and that of the targets")
    first, second = sources
    inputs, targets = match(list_images(first), first, list_images(second), second)
    kept = set(split_indices(len(inputs), len(inputs), seed, first)[1])
    files: list[tuple[Path, dict[str, list[Output]]]] = [(first, {}), (second, {})]
    for index, pair in enumerate(zip(inputs, targets, strict=True)):
        part = "val" if index in kept else "train"
        for side, path, (folder, placed) in zip("AB", pair, files, strict=True):
            to = f"{part}{side}/{key(pair[0], first)}{path.suffix.lower()}"
            placed[path.relative_to(folder).as_posix()] = [Output(to)]
    return Plan(files)


def check_plan(name: str, about: PublishedSet, plan: Plan, sources: Sequence[Path]) -> None:
    """Raises InputError for outputs that meet, parts that lack, and streets without a partner."""
    paths, counts = plan.paths(), plan.counts()
    where = ", ".join(map(str, sources))
    twice = [path for path, times in Counter(map(str.casefold, paths)).items() if times > 1]
    if twice:
        raise InputError(f"{where} holds {twice[0]} more than once; {HOW}")
    for part in NEEDED.get(about.form, ()):
        if not counts.get(part):
            raise InputError(f"no pictures of {part} in {where}: it is not {name}; {HOW}")
    if about.form != "cityscapes":
        return
    frames: dict[str, set[str]] = {kind: set() for kind in ("photos", "labels", "instances")}
    for path in paths:
        kind, _, frame = path.partition("/")
        frames.get(kind, set()).add(frame)
    if not frames["photos"]:
        raise InputError(
            f"no leftImg8bit/train/CITY/*_leftImg8bit.png in {where}; give the folder or both archives, "
            "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip"
        )
    for kind in ("labels", "instances"):
        odd = sorted(frames["photos"] ^ frames[kind])
        if odd:
            raise InputError(
                f"{len(odd)} photos and {kind} of {where} have no partner: {', '.join(odd[:SHOWN])}; "
                "give leftImg8bit and gtFine of the same parts"
            )


def write_files(plan: Plan, output: Path) -> None:
    """Writes every output."""
    done, total = 0, len(plan.paths())
    with progress("pictures", total) as bar:
        for source, placed in plan.files:
            for name, _, read in files_of(source):
                for path, data in converted(placed.get(name, []), read):
                    make_folder((output / path).parent)
                    write_atomic(output / path, data)
                    done += 1
                    bar.step(done)
    if done < total:
        raise InputError(f"{done} of {total} files were still there; run the command again")


def converted(outputs: list[Output], read: Read) -> list[tuple[str, bytes]]:
    """What one file becomes."""
    if not outputs:
        return []
    data = read()
    return [(each.path, each.convert(data) if each.convert else data) for each in outputs]


def commands(name: str, about: PublishedSet, counts: dict[str, int], output: Path) -> list[str]:
    """The commands that train a teacher on the data set and compress it."""
    given = [*folders_given(about, counts, output)]
    train = about.recipe or ("cyclegan" if about.form == "unpaired" else "pix2pix")
    paths = " ".join(shlex.quote(word) for word in given)
    lines = [f"edgegan train {train} {paths} -o runs/{name}_teacher"]
    if about.recipe:
        network = "search.network=NETWORK"
        lines.append(
            f"edgegan compress {about.recipe} --teacher runs/{name}_teacher/teacher {paths} --set {network}"
            f"{reference(about, output)} -o runs/{name}"
        )
    return lines


def reference(about: PublishedSet, output: Path) -> str:
    """Where a search finds the pictures of domain B that nobody is paired with."""
    if about.form != "unpaired":
        return ""
    return " --set " + shlex.quote(f"search.reference={(output / 'testB').absolute()}")


def folders_given(about: PublishedSet, counts: dict[str, int], output: Path) -> list[str]:
    """The options that name the folders."""

    def options(**folders: str) -> list[str]:
        named = (
            (f"--{key.replace('_', '-')}", str(output / value)) for key, value in folders.items()
        )
        return [word for pair in named for word in pair]

    part = next((each for each in ("val", "test") if any(k.startswith(each) for k in counts)), "")
    if about.form == "cityscapes":
        given = options(data="labels/train", target="photos/train")
        if counts.get("labels/val"):
            given += options(validation="labels/val", validation_target="photos/val")
        return given
    if about.form == "aligned":
        given = options(data="train")
        given += options(validation=part) if part else []
        return [*given, "--set", f"data.direction={about.direction}"]
    given = options(data="trainA", target="trainB")
    return given + (options(validation=f"{part}A", validation_target=f"{part}B") if part else [])
