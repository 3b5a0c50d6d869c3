"""What an export folder keeps: artefacts, a model.json beside each, and their list in export.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgegan.artefact import (
    EXPORT_MANIFEST,
    SCHEMA_VERSION,
    FileInfo,
    ModelManifest,
    files_of,
    is_artefact,
    manifest_of,
    read_export,
)
from edgegan.errors import OutputError
from edgegan.export.artefact_files import move_artefact
from edgegan.files import write_json
from edgegan.ownership.folders import owned_files, walk
from edgegan.ownership.journal import claim
from edgegan.run import command_line, environment, now


def is_current(folder: Path, name: str, inputs: dict[str, Any]) -> bool:
    """Whether an artefact was made from the same inputs and is unchanged; raises OutputError when it is another one."""
    path = folder / name
    if not path.exists() or not (folder / EXPORT_MANIFEST).is_file():
        return False
    entry = read_export(folder)["artefacts"].get(name)
    if entry is None:
        return False
    if entry.get("inputs") != inputs:
        raise OutputError(
            f"{path} was made from another package, size, converter or int8 options; add --overwrite to replace it"
        )
    return is_artefact(path) and {n: i.sha256 for n, i in files_of(path).items()} == hashes(
        name, entry
    )


def hashes(name: str, entry: dict[str, Any]) -> dict[str, str]:
    """The hashes of an artefact's files as export.json tells them; older ones tell that of the artefact alone."""
    files = entry.get("files") or {name: entry}
    return {file: str(about.get("sha256")) for file, about in files.items()}


def describe_files(path: Path, name: str) -> dict[str, FileInfo]:
    """The files of an artefact by the paths they get when it is kept under `name`."""
    return {name + file[len(path.name) :]: info for file, info in files_of(path).items()}


def make_room(path: Path, folder: Path, name: str) -> None:
    """Lists the files of an artefact that is about to be kept under `name`; raises OutputError where one of the user's
    is in the way."""
    for file, info in describe_files(path, name).items():
        claim(folder / file, info.sha256)
    known = owned_files(folder, "export")
    inside = walk(folder / name) if (folder / name).is_dir() else []
    others = [file for file in inside if f"{name}/{file}" not in known]
    if others:
        raise OutputError(
            f"{folder / name / others[0]} is not edgegan's; move it away or choose another folder with -o"
        )


def keep(path: Path, folder: Path, manifest: ModelManifest, inputs: dict[str, Any]) -> None:
    """Moves a proved artefact into place, then its model.json, then its line in export.json."""
    final = folder / manifest.file
    make_room(path, folder, final.name)
    move_artefact(path, final)
    content = manifest.model_dump(mode="json")
    write_json(manifest_of(final), content)
    export_file = folder / EXPORT_MANIFEST
    listed: dict[str, Any] = (
        read_export(folder)
        if export_file.is_file()
        else {"schema_version": SCHEMA_VERSION, "artefacts": {}}
    )
    listed.update(command=command_line(), updated=now(), environment=environment())
    told = ("role", "precision", "target", "sha256", "bytes", "files")
    listed["artefacts"][final.name] = {**{key: content[key] for key in told}, "inputs": inputs}
    write_json(export_file, listed)
