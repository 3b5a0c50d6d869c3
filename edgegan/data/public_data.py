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
    part = next((each for each in ("val", "test") if any(each in k for k in counts)), "")
    if about.form == "cityscapes":
        pix2pix = streets(output, "labels", part)
        instances = ["--instances", str(output / "instances/train")]
        beside = [f"data.instances={output / 'instances/train'}"]
        if part:
            beside.append(f"data.validation_instances={output / 'instances' / part}")
        gaugan = streets(output, "label_ids", part)
        added = [word for each in beside for word in ("--set", each)]
        lines = pair(name, about.recipe, pix2pix, pix2pix)
        spade = "gan_compression_gaugan_cityscapes"
        return lines + pair(f"{name}_gaugan", spade, gaugan + instances + added[2:], gaugan + added)
    given = aligned_sides(output, part, about) if about.form == "aligned" else domains(output, part)
    if not about.recipe:
        recipe = "cyclegan" if about.form == "unpaired" else "pix2pix"
        return pair(name, recipe, given, given)[:1]
    place = (output / "testB").absolute()
    more = ["--set", f"search.reference={place}"] if about.form == "unpaired" else []
    return pair(name, about.recipe, given, given + more)


def pair(name: str, recipe: str, train: list[str], compress: list[str]) -> list[str]:
    """The command that trains and the one that compresses."""
    teacher, network = f"runs/{name}_teacher", "--set search.network=NETWORK"
    return [
        f"edgegan train {recipe} {shlex.join(train)} -o {teacher}",
        f"edgegan compress {recipe} --teacher {teacher}/teacher {shlex.join(compress)} {network} -o runs/{name}",
    ]


def options(output: Path, **folders: str) -> list[str]:
    """Options that name folders of the data set."""
    named = [(f"--{key.replace('_', '-')}", str(output / value)) for key, value in folders.items()]
    return [word for each in named for word in each]


def streets(output: Path, labels: str, part: str) -> list[str]:
    """Label maps and photos."""
    given = options(output, data=f"{labels}/train", target="photos/train")
    if not part:
        return given
    return given + options(
        output, validation=f"{labels}/{part}", validation_target=f"photos/{part}"
    )


def aligned_sides(output: Path, part: str, about: PublishedSet) -> list[str]:
    """Side-by-side pictures with their direction."""
    given = options(output, data="train") + (options(output, validation=part) if part else [])
    return [*given, "--set", f"data.direction={about.direction}"]


def domains(output: Path, part: str) -> list[str]:
    """Two folders."""
    given = options(output, data="trainA", target="trainB")
    if not part:
        return given
    return given + options(output, validation=f"{part}A", validation_target=f"{part}B")
