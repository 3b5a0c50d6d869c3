"""The static page of `edgegan bundle --target web`: our files, LiteRT.js, and the list a browser keeps offline."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

from edgegan.export import licences
from edgegan.export.bundles import INDEX
from edgegan.export.npm import Package, unpack
from edgegan.files import sha256_file, sha256_json, write_atomic, write_json
from edgegan.ownership.folders import manifest_files, manifest_values
from edgegan.ownership.layouts import LAYOUTS, index_files

CORE = Package(
    "@litertjs/core", "2.5.3", "a97660833e9e7e1063c95e12016718881240b14f7438728a2f62785e912d30fd"
)
WASM_UTILS = Package(
    "@litertjs/wasm-utils",
    "2.5.3",
    "ce2a1f8379c067be49e59752e5a7f40db6be09f6e497f0f11e59f17b515366a7",
)
RUNTIME = "vendor/litertjs"
# "compat" is for browsers without relaxed SIMD; a browser loads one of the two.
WASM = ("litert_wasm_internal", "litert_wasm_compat_internal")
PAGE_FILES = (
    "index.html",
    "style.css",
    "app.js",
    "camera.js",
    "card.js",
    "pixels.js",
    "runner.js",
    "sha256.js",
    "slider.js",
    "tiles.js",
    "icon.svg",
    "page.webmanifest",
)
CACHE_LIST = "files.json"
NOTICE = """The page runs models with LiteRT.js ({versions}),
Copyright Google LLC, Apache License 2.0 (Apache-2.0.txt), https://github.com/google-ai-edge/LiteRT
"""


def write(folder: Path, *, download: bool) -> None:
    """Writes everything of the page but the models; raises MissingDependency when the runtime is not there."""
    utils = {"dist/index.js": folder / RUNTIME / "wasm-utils.js"}
    unpack(WASM_UTILS, utils, download=download)
    wanted = {"dist/index.js": folder / RUNTIME / "index.js"}
    for name in WASM:
        for suffix in (".js", ".wasm"):
            wanted[f"wasm/{name}{suffix}"] = folder / RUNTIME / f"{name}{suffix}"
    unpack(CORE, wanted, download=download)
    source = importlib.resources.files("edgegan.export.web")
    for name in PAGE_FILES:
        write_atomic(folder / name, (source / name).read_bytes())
    versions = f"{CORE.name} {CORE.version}, {WASM_UTILS.name} {WASM_UTILS.version}"
    write_atomic(folder / "licenses/LiteRT.txt", NOTICE.format(versions=versions).encode())
    write_atomic(folder / "licenses/Apache-2.0.txt", licences.apache())


def listed_files(folder: Path) -> set[str]:
    """What the page is made of: its own files, and what models/index.json and each model's model.json list."""
    runtime = (
        "index.js",
        "wasm-utils.js",
        *(f"{n}{end}" for n in WASM for end in (".js", ".wasm")),
    )
    files = {*PAGE_FILES, *(f"{RUNTIME}/{name}" for name in runtime)}
    files |= {"licenses/LiteRT.txt", "licenses/Apache-2.0.txt"}
    index = manifest_values(folder, INDEX.as_posix())
    files |= set(index_files(index) or {})
    for model in index["models"] if index_files(index) else ():
        found = manifest_files(folder / "models" / model, LAYOUTS["model"]) or {}
        files |= {f"models/{model}/{name}" for name in found}
    return files


def write_cache_list(folder: Path) -> None:
    """files.json and worker.js: what the service worker keeps for use without a network, and a version of all of it.

    The runtime's wasm is not in it: the browser keeps the one variant that it loads.
    """
    files = sorted(name for name in listed_files(folder) if (folder / name).is_file())
    hashes = {name: sha256_file(folder / name) for name in files}
    kept = [name for name in files if not name.startswith(f"{RUNTIME}/litert_wasm")]
    write_json(folder / CACHE_LIST, {"files": kept})
    worker = (importlib.resources.files("edgegan.export.web") / "worker.js").read_text("utf-8")
    version = sha256_json(hashes)[:16]
    write_atomic(folder / "worker.js", worker.replace("@VERSION@", version).encode())
