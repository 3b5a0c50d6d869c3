"""What `edgegan bundle` can make: an app's files or a web page, each an object in one table."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from edgegan.errors import InputError

ASSETS = Path("app/src/main/assets")
INDEX = Path("models/index.json")


class Bundle:
    """A place that models are copied into. `target` is that of the artefacts it runs."""

    target: ClassVar[str] = "tflite"
    kind: ClassVar[str] = "page"  # of the folder that takes models/, see edgegan.ownership.layouts
    shared: ClassVar[bool] = False  # whether that folder also holds things of others

    def default_folder(self, run: Path) -> Path:
        """The folder that is written into unless another is said."""
        raise NotImplementedError

    def assets(self, into: Path) -> Path:
        """The folder that takes models/."""
        raise NotImplementedError

    def open(self, into: Path) -> Path:
        """The assets, ready to be written; raises InputError or OutputError when `into` is something else."""
        raise NotImplementedError

    def write_around(self, assets: Path, *, download: bool) -> None:
        """Writes what belongs beside the models."""

    def write_lists(self, assets: Path) -> None:
        """Writes what lists all other files, when they are there."""

    def how_to_open(self, folder: Path) -> str:  # noqa: ARG002
        """A line that says how to look at it, or nothing."""
        return ""


class AndroidBundle(Bundle):
    """The assets of the Android project."""

    kind = "assets"
    shared = True

    def default_folder(self, run: Path) -> Path:  # noqa: ARG002
        return Path("android_demo")

    def assets(self, into: Path) -> Path:
        return into / ASSETS

    def open(self, into: Path) -> Path:
        if not into.is_dir():
            raise InputError(
                f"{into} is not the Android project; give --into FOLDER (android_demo of the edgegan sources)"
            )
        return self.assets(into)


class WebBundle(Bundle):
    """A static page with its runtime."""

    def default_folder(self, run: Path) -> Path:
        return run / "web"

    def assets(self, into: Path) -> Path:
        return into

    def open(self, into: Path) -> Path:
        return into

    def write_around(self, assets: Path, *, download: bool) -> None:
        from edgegan.export import web_page

        web_page.write(assets, download=download)

    def write_lists(self, assets: Path) -> None:
        from edgegan.export import web_page

        web_page.write_cache_list(assets)

    def how_to_open(self, folder: Path) -> str:
        return f"open it with: python3 -m http.server -d {folder}, then http://localhost:8000"


BUNDLES: dict[str, Bundle] = {"android": AndroidBundle(), "web": WebBundle()}
