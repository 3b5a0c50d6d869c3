"""Bad recipes, pictures and label maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from support.bad_inputs import Bad
from support.spoilers import content, cut, edit_json, label, png_header, recipe

COMPRESS = "compress recipe.yaml -o out"
RUN = "run package pictures -o out"

# name, changed keys, words of the message
CHANGED_KEYS: list[tuple[str, dict[str, object], str]] = [
    ("zero steps", {"distill.steps": 0}, "distill.steps"),
    ("fraction of a step", {"distill.steps": 1.5}, "distill.steps"),
    ("scale above one", {"student.scale": 2}, "student.scale"),
    ("negative width", {"student.widths": {"stem": -8}}, "stem"),
    ("one side of a size", {"data.size": [32]}, "data.size"),
    ("size of zero", {"data.size": [0, 32]}, "0x32|size"),
    ("truth for a side", {"data.size": [32, True]}, "data.size: .*no numbers"),
    ("no crops", {"data.crops": 0}, "data.crops"),
    ("tiny resize", {"data.resize": 3}, "data.resize"),
    ("unknown device", {"device": "gpu"}, "device.*'gpu'"),
    ("negative seed", {"seed": -1}, "seed"),
    ("name that is a path", {"name": "../x"}, "name.*'../x'"),
    ("no data", {"data.train": None}, "give --data"),
    ("no teacher", {"teacher": None}, "teacher is not set"),
]
RECIPES = [
    Bad(f"recipe: {name}", COMPRESS, words, recipe(change)) for name, change, words in CHANGED_KEYS
]
RECIPES += [
    Bad(
        "recipe: misspelt key",
        COMPRESS,
        r"distill\.learnig_rate.*did you mean 'distill\.learning_rate'",
        recipe({"distill.learnig_rate": 1}),
    ),
    Bad(
        "recipe: unknown section",
        COMPRESS,
        "unknown key 'distil'; did you mean 'distill",
        recipe({"distil": {}}),
    ),
    Bad(
        "recipe: too thin a size",
        f"{COMPRESS} --dry-run",
        "at least 16, not 32x4",
        recipe({"data.size": [32, 4]}),
    ),
    Bad(
        "recipe: word for a number",
        COMPRESS,
        "distill.steps: .*'many'",
        recipe({"distill.steps": "many"}),
    ),
    Bad(
        "recipe: NaN rate",
        COMPRESS,
        "distill.learning_rate",
        recipe({"distill.learning_rate": float("nan")}),
    ),
    Bad(
        "recipe: infinite rate",
        COMPRESS,
        "distill.learning_rate",
        recipe({"distill.learning_rate": float("inf")}),
    ),
    Bad(
        "recipe: negative weight", COMPRESS, "distill.l1_weight", recipe({"distill.l1_weight": -1})
    ),
    Bad(
        "recipe: nothing to learn",
        COMPRESS,
        "nothing to distil",
        recipe({f"distill.{k}_weight": 0 for k in ("l1", "gradient", "feature")}),
    ),
    Bad(
        "recipe: unknown block",
        COMPRESS,
        "student.block.*'sparse'",
        recipe({"student.block": "sparse"}),
    ),
    Bad(
        "recipe: unknown norm", COMPRESS, "student.norm.*'layer'", recipe({"student.norm": "layer"})
    ),
    Bad(
        "recipe: width of no layer",
        COMPRESS,
        "student.widths: family resnet has no 'stm'",
        recipe({"student.widths": {"stm": 8}}),
    ),
    Bad(
        "recipe: size below the padding",
        COMPRESS,
        "multiples of 4 and at least 16, not 8x8",
        recipe({"data.size": [8, 8]}),
    ),
    Bad(
        "recipe: size that does not divide",
        COMPRESS,
        "multiples of 4.*not 33x32",
        recipe({"data.size": [33, 32]}),
    ),
    Bad(
        "recipe: CUDA on a machine without",
        COMPRESS,
        "device 'cuda' is not available",
        recipe({"device": "cuda"}),
        4,
    ),
    Bad(
        "recipe: no name",
        COMPRESS,
        "recipe.yaml: name",
        lambda f: (f / "recipe.yaml").write_text("seed: 1\n"),
    ),
    Bad(
        "recipe: teacher that is not there",
        COMPRESS,
        "nowhere is not a generator package",
        recipe({"teacher": "nowhere"}),
    ),
    Bad(
        "recipe: data that are not there",
        COMPRESS,
        "nowhere does not exist",
        recipe({"data.train": "nowhere"}),
    ),
    Bad(
        "recipe: label key for pictures",
        COMPRESS,
        "classes means nothing for kind images",
        recipe({"data.classes": 3}),
    ),
    Bad(
        "recipe: list",
        COMPRESS,
        "recipe.yaml must be a mapping.*list",
        content("recipe.yaml", "- a\n- b\n"),
    ),
    Bad("recipe: empty", COMPRESS, "recipe.yaml must be a mapping", content("recipe.yaml", "")),
    Bad(
        "recipe: not YAML",
        COMPRESS,
        "recipe.yaml is not readable YAML",
        content("recipe.yaml", "a: [1\n b: }"),
    ),
    Bad(
        "recipe: bytes",
        COMPRESS,
        "recipe.yaml is not readable YAML",
        content("recipe.yaml", bytes(range(256))),
    ),
    Bad(
        "recipe: Python object",
        COMPRESS,
        "recipe.yaml is not readable YAML",
        content("recipe.yaml", "name: !!python/object/apply:os.system ['touch owned']\n"),
    ),
    Bad(
        "recipe: nested too deep",
        COMPRESS,
        "recipe.yaml",
        content("recipe.yaml", "name: " + "[" * 5000),
    ),
    Bad("recipe: folder", "compress pictures -o out", "no recipe 'pictures'"),
    Bad("recipe: misspelt shipped one", "compress resnett -o out", "did you mean 'resnet'"),
    Bad("recipe: --set without a value", COMPRESS + " --set seed", "write it as key.subkey=value"),
    Bad("recipe: --set inside a value", COMPRESS + " --set name.a=1", "'name' is a value"),
    Bad("recipe: --set with broken YAML", COMPRESS + " --set seed=[", "the value is not YAML"),
    Bad(
        "recipe: --set of an unknown key",
        COMPRESS + " --set data.sise=1",
        "did you mean 'data.size'",
    ),
    Bad("recipe: run of another one", "compress recipe.yaml -o run --set seed=5", "seed differ"),
    Bad(
        "recipe: output is a folder of pictures",
        "compress recipe.yaml -o pictures",
        "pictures was not written by edgegan",
    ),
]


def half_jpeg(folder: Path) -> None:
    """A picture whose header is whole."""
    Image.effect_noise((200, 200), 90).save(folder / "pictures/half.jpg")
    cut("pictures/half.jpg")(folder)


IMAGES = [
    Bad(
        "image: damaged",
        COMPRESS,
        r"x\.png is damaged",
        content("pictures/x.png", b"\x89PNG\r\n\x1a\n" + b"0" * 50),
    ),
    Bad("image: empty file", COMPRESS, r"x\.png is damaged", content("pictures/x.png", b"")),
    Bad(
        "image: text",
        COMPRESS,
        r"x\.jpg is damaged",
        content("pictures/x.jpg", "a picture of a cat"),
    ),
    Bad(
        "image: web page",
        COMPRESS,
        r"x\.png is damaged",
        content("pictures/x.png", "<!DOCTYPE html>404"),
    ),
    Bad(
        "image: vector drawing",
        COMPRESS,
        r"x\.png is damaged",
        content("pictures/x.png", "<svg xmlns='http://www.w3.org/2000/svg'/>"),
    ),
    Bad(
        "image: PDF",
        COMPRESS,
        r"x\.jpg is damaged",
        content("pictures/x.jpg", b"%PDF-1.4\n" + b"1" * 90),
    ),
    Bad(
        "image: bomb",
        "run package x.png -o out",
        r"x\.png.*(million|damaged)",
        content("x.png", png_header(60000, 60000)),
    ),
    Bad(
        "image: bomb among pictures",
        COMPRESS,
        r"x\.png",
        content("pictures/x.png", png_header(60000, 60000)),
    ),
    Bad(
        "image: claims more than it holds",
        "run package x.png -o out",
        r"x\.png is damaged",
        content("x.png", png_header(64, 64)),
    ),
    Bad(
        "image: no pixels",
        "run package x.png -o out",
        r"x\.png is damaged",
        content("x.png", png_header(0, 9)),
    ),
    Bad(
        "image: cut PNG",
        "run package pictures/picture1.png -o out",
        r"picture1\.png is damaged",
        cut("pictures/picture1.png"),
    ),
    Bad("image: half a JPEG among pictures", COMPRESS, r"half\.jpg is damaged", half_jpeg),
    Bad("image: missing", "run package nothing.png -o out", r"nothing\.png does not exist"),
    Bad(
        "image: empty folder",
        "run package none -o out",
        "no images in none",
        lambda f: (f / "none").mkdir(),
    ),
    Bad(
        "image: only other files",
        COMPRESS,
        "no images in",
        lambda f: [p.rename(p.with_suffix(".txt")) for p in (f / "pictures").iterdir()],
    ),
    Bad(
        "image: a single one to train on",
        COMPRESS,
        "pictures holds one",
        lambda f: [(f / f"pictures/picture{i}.png").unlink() for i in (0, 1)],
    ),
    Bad("image: a file for a folder", COMPRESS + " --data net_G.pth", r"net_G\.pth"),
    Bad(
        "image: two results of one name",
        "run package pictures/picture0.png pictures/picture0.png -o out",
        r"both be written as out/picture0\.png",
    ),
    Bad(
        "image: result exists",
        RUN,
        "add --overwrite",
        lambda f: content("out/picture0.png", b"mine")(f),
    ),
    Bad(
        "image: output under a file",
        "run package pictures -o net_G.pth/out",
        r"cannot create folder .*net_G\.pth/out",
    ),
]

EVALUATE_LABELS = "evaluate spade spade --images labels"
LABELS = [
    Bad(
        "label map: class too large",
        EVALUATE_LABELS,
        r"0\.png holds class 9",
        label(np.full((64, 64), 9, np.uint8)),
    ),
    Bad(
        "label map: 16-bit class",
        EVALUATE_LABELS,
        r"0\.png holds class 300",
        label(np.full((64, 64), 300, np.uint16)),
    ),
    Bad(
        "label map: in colour",
        EVALUATE_LABELS,
        r"0\.png has mode RGB",
        label(np.zeros((64, 64, 3), np.uint8)),
    ),
    Bad(
        "label map: transparent",
        EVALUATE_LABELS,
        r"0\.png has mode RGBA",
        label(np.zeros((64, 64, 4), np.uint8)),
    ),
    Bad(
        "label map: JPEG",
        EVALUATE_LABELS,
        r"x\.jpg is a JPEG",
        label(np.zeros((64, 64), np.uint8), "labels/x.jpg"),
    ),
    Bad("label map: cut", EVALUATE_LABELS, r"0\.png is damaged", cut("labels/0.png", 0.7)),
    Bad(
        "label map: empty file", EVALUATE_LABELS, r"0\.png is damaged", content("labels/0.png", b"")
    ),
    Bad(
        "label map: text", EVALUATE_LABELS, r"0\.png is damaged", content("labels/0.png", "0 0 1 1")
    ),
    Bad("label map: no folder", "evaluate spade spade --images nowhere", "nowhere does not exist"),
    Bad(
        "label map: pictures instead",
        "evaluate spade spade --images pictures",
        r"picture0\.png has mode RGB",
    ),
    Bad(
        "label map: no instance map of the name",
        EVALUATE_LABELS + " --instances pictures",
        "have no partner of the same name in pictures",
        lambda f: edit_json(
            "spade/config.json", input={"kind": "label_map", "classes": 2, "instance_edge": True}
        )(f),
    ),
    Bad(
        "label map: size the generator cannot make", EVALUATE_LABELS + " --size 63", "multiples of"
    ),
    Bad(
        "label map: a photograph instead",
        "run spade pictures -o out",
        "label map",
    ),
]
