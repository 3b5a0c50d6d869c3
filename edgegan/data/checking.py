"""Every file of a dataset decoded once before hours of work depend on it: bad ones are named, or left out by name."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from edgegan.console import progress, say
from edgegan.data.datasets import Dataset, Split
from edgegan.data.pictures import Pictures
from edgegan.errors import InputError
from edgegan.files import read_json, sha256_bytes, write_json

SHOWN = 20
THREADS = 4
CHUNK = 64


def check_dataset(dataset: Dataset, note: Path | None = None) -> Dataset:
    """The dataset without its bad examples, each named on stderr; raises InputError for the first unless data.skip_bad.

    Bad: a file that cannot be decoded, a label map with a class that does not exist, partners of different size.
    `note` is a file of `keep_findings`, used while the files are the same (names, sizes, times).
    """
    mark = listing_hash(dataset)
    kept = read_json(note) if note is not None and note.is_file() else {}
    if not are_findings(kept) or kept["files"] != mark:
        found = {
            name: find_bad(split, f"checking {name} files")
            for name, split in (("training", dataset.train), ("validation", dataset.validation))
        }
        kept = {"files": mark, "bad": found}
        report(found, dataset.train.data.skip_bad)
    return Dataset(
        without(dataset.train, kept["bad"]["training"]),
        without(dataset.validation, kept["bad"]["validation"]),
        kept,
    )


def are_findings(kept: object) -> bool:
    """Whether a note is what `keep_findings` writes: reasons by index, part and split."""
    if not isinstance(kept, dict) or not isinstance(kept.get("bad"), dict) or "files" not in kept:
        return False
    splits = [kept["bad"].get(name) for name in ("training", "validation")]
    return all(
        isinstance(split, dict)
        and all(
            isinstance(part, dict) and all(isinstance(reason, str) for reason in part.values())
            for part in split.values()
        )
        for split in splits
    )


def keep_findings(dataset: Dataset, note: Path) -> None:
    """Writes what the check found, so that a resumed run need not decode every file again."""
    write_json(note, dataset.findings)


def listing_hash(dataset: Dataset) -> str:
    """sha256 of every file's name, size and time of last change, and of what makes one bad."""
    data = dataset.train.data
    lines = [data.model_dump_json(include={"kind", "classes", "unlabelled", "direction"})]
    for split in (dataset.train, dataset.validation):
        for part in split.parts():
            lines += [part.stamp(index) for index in range(len(part))]
    return sha256_bytes("\n".join(lines).encode(errors="surrogateescape"))


def find_bad(split: Split, label: str) -> dict[str, dict[str, str]]:
    """Bad examples as {"inputs" or "targets": {index: reason}}; partners share "inputs"."""
    if split.data.kind == "unpaired":
        assert split.inputs is not None and split.targets is not None
        return {
            "inputs": scan(len(split.inputs), partial(check_one, split.inputs), label),
            "targets": scan(len(split.targets), partial(check_one, split.targets), label),
        }
    return {"inputs": scan(len(split), partial(check_partners, split), label)}


def scan(count: int, check: Callable[[int], str | None], label: str) -> dict[str, str]:
    """Runs a check over all indices in threads; returns what it found, by index."""
    bad: dict[str, str] = {}
    with ThreadPoolExecutor(THREADS) as pool, progress(label, count) as bar:
        for start in range(0, count, CHUNK):
            chunk = range(start, min(start + CHUNK, count))
            for index, reason in zip(chunk, pool.map(check, chunk), strict=True):
                if reason is not None:
                    bad[str(index)] = reason
            bar.step(chunk.stop, f"{len(bad)} bad" if bad else "")
    return bad


def check_one(pictures: Pictures, index: int) -> str | None:
    """What is wrong with one picture, if anything."""
    try:
        pictures.read(index)
    except InputError as error:
        return str(error)
    return None


def check_partners(split: Split, index: int) -> str | None:
    """What is wrong with an input, its target, its instance map and what is beside it, if anything."""
    sizes = {}
    try:
        for part in split.parts():
            sizes[part.name(index)] = part.read(index).shape[:2]
    except InputError as error:
        return str(error)
    if len(set(sizes.values())) > 1:
        told = " and ".join(f"{name} ({size[0]}x{size[1]})" for name, size in sizes.items())
        return f"{told} are partners of different size; scale them to one"
    return None


def report(found: dict[str, dict[str, dict[str, str]]], skip_bad: bool) -> None:
    """Names what is bad; raises InputError unless it may be skipped."""
    reasons = [
        reason for parts in found.values() for bad in parts.values() for reason in bad.values()
    ]
    if not reasons:
        return
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    if not skip_bad:
        raise InputError(f"{reasons[0]}{more}; or leave out bad files with --skip-bad")
    for reason in reasons[:SHOWN]:
        say(f"skipped: {reason}")
    if len(reasons) > SHOWN:
        say(f"skipped: {len(reasons) - SHOWN} more")


def without(split: Split, bad: dict[str, dict[str, str]]) -> Split:
    """The split without the bad; raises InputError when nothing is left."""

    def kept(part: Pictures, which: str) -> list[int]:
        """Indices of a part that are not bad."""
        good = [index for index in range(len(part)) if str(index) not in bad.get(which, {})]
        if not good:
            raise InputError(f"nothing is left: every file is bad, such as {part.name(0)}")
        return good

    if split.data.kind != "unpaired":
        return split.only(kept(split.inputs or split.targets, "inputs"))  # type: ignore[arg-type]
    assert split.inputs is not None and split.targets is not None
    return replace(
        split,
        inputs=split.inputs.only(kept(split.inputs, "inputs")),
        targets=split.targets.only(kept(split.targets, "targets")),
    )
