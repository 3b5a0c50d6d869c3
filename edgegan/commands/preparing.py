"""data: public data sets made ready for recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgegan.commands.options import AsJson, Overwrite, parse_size, show
from edgegan.console import say
from edgegan.errors import ConfigError
from edgegan.streams import printable

data = typer.Typer(no_args_is_help=True, help="Make public data sets ready for recipes.")


@data.callback()
def room() -> None:
    """Make public data sets ready for recipes."""


@data.command("prepare")
def prepare(
    name: Annotated[
        str,
        typer.Argument(
            help="horse2zebra, edges2shoes, maps, facades, cityscapes, ...; or unpaired, aligned, pairs for your own"
        ),
    ],
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            help="its archive or unpacked folder; of cityscapes also both archives; of pairs the two folders"
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="folder to write; default data/NAME")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            help="cityscapes: scale to 256 or HEIGHTxWIDTH, ratio not kept; published: 256 (pix2pix), 256x512 (GauGAN)"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="pairs: which tenth is kept for validation")] = 0,
    download: Annotated[
        bool, typer.Option("--download", help="fetch the archive, kept in the cache folder")
    ] = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Make a public data set ready from its archive, with the published splits, and print the commands that use it.

    Archives are not trusted: they are looked through before anything is written.
    """
    from edgegan.data.downloading import download_archive
    from edgegan.data.public_data import prepare as run_prepare
    from edgegan.data.published_sets import published_set
    from edgegan.files import cache_folder, sha256_file

    about = published_set(name)
    given = list(sources or [])
    if size is not None and about.form != "cityscapes":
        raise ConfigError(f"--size scales cityscapes alone; {name} is scaled by data.resize")
    if download:
        if not about.url or given:
            reason = "give either its archive or --download" if given else "fetch it by hand"
            raise ConfigError(f"{name} is not downloaded here: {reason}")
        archive = download_archive(
            about.url.format(name), cache_folder() / "datasets", about.largest
        )
        say(f"{archive}: no hash was published; its sha256 is {sha256_file(archive)}")
        given = [archive]
    if not given:
        where = f", or --download {about.url.format(name)}" if about.url else ""
        raise ConfigError(f"give the archive or folder of {name}{where}")
    folder = output or Path("data") / name
    manifest = run_prepare(
        name, given, folder, size=parse_size(size), seed=seed, overwrite=overwrite
    )
    show(manifest, as_json, prepared_text(folder, manifest))


def prepared_text(folder: Path, manifest: dict[str, Any]) -> str:
    """What was written, where it is not as published, and what to do next."""
    counts, published = manifest["counts"], manifest["published"]
    lines = [printable(f"{folder}: {manifest['data_set']}")]
    for part, count in sorted(counts.items()):
        known = published.get(part)
        note = f" (published: {known})" if known not in (None, count) else ""
        lines.append(printable(f"  {part} {count}{note}"))
    return "\n".join([*lines, "next:", *(f"  {printable(each)}" for each in manifest["commands"])])
