"""devices: boards and phones by name, and the emulated arm64 core."""

from __future__ import annotations

from typing import Annotated

import typer

from edgegan.commands.options import AsJson, show
from edgegan.streams import printable

devices = typer.Typer(
    no_args_is_help=True,
    help="Name the boards and phones that edgegan bench measures on; set up the emulated arm64 core.",
)


@devices.command("add")
def add(
    name: Annotated[str, typer.Argument(help="name for --device, such as pi4")],
    address: Annotated[str, typer.Argument(help="ssh://user@host[:port], adb:// or adb://SERIAL")],
) -> None:
    """Add a device, or change the address of one."""
    from edgegan.benchmarks.devices.book import add_device

    add_device(name, address)
    show(
        None, False, f"added {printable(name)}\nnext: edgegan bench RUN --device {printable(name)}"
    )


@devices.command("list")
def list_command(as_json: AsJson = False) -> None:
    """List the devices that were added."""
    from edgegan.benchmarks.devices.book import read_book
    from edgegan.console import table

    found = read_book()
    text = table(["name", "address"], [[name, address] for name, address in found.items()])
    empty = "no devices; add one with: edgegan devices add NAME ssh://user@host"
    show({"devices": found}, as_json, text if found else empty)


@devices.command("remove")
def remove(name: Annotated[str, typer.Argument(help="name of the device")]) -> None:
    """Forget a device."""
    from edgegan.benchmarks.devices.book import remove_device

    remove_device(name)
    show(None, False, f"removed {printable(name)}")


@devices.command("setup-arm64")
def setup_arm64(
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="set it up again from the beginning")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Set up the emulated arm64 core: arm64 Python, LiteRT and ONNX Runtime, about 240 MB in the cache folder."""
    from edgegan.benchmarks.devices.root import CORES, arm64_root

    folder = arm64_root(overwrite=overwrite)
    text = (
        f"{printable(folder)}\nnext: edgegan bench RUN --device arm64 --emulate {'|'.join(CORES)}"
    )
    show({"folder": str(folder), "cores": list(CORES)}, as_json, text)
