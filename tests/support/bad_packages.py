"""Bad packages, runs, artefacts, device names and flags."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from support.bad_inputs import Bad
from support.bad_recipes import COMPRESS, RUN
from support.spoilers import content, cut, damaged_artefact, edit_json, flip, recipe, remove


def narrower(folder: Path) -> dict[str, object]:
    """The package's spec with one width changed."""
    spec = json.loads((folder / "package/config.json").read_text())["spec"]
    return {**spec, "stem": 8}


INSPECT = "inspect package"
PACKAGES = [
    Bad("package: not there", "inspect nowhere", "nowhere is not a generator package"),
    Bad("package: folder of pictures", "inspect pictures", "pictures is not a generator package"),
    Bad("package: file", "inspect net_G.pth", r"net_G\.pth is not a generator package"),
    Bad(
        "package: no config.json",
        INSPECT,
        "package is not a generator package",
        remove("package/config.json"),
    ),
    Bad(
        "package: config.json cut",
        INSPECT,
        r"config\.json is not readable JSON",
        cut("package/config.json"),
    ),
    Bad(
        "package: config.json is a list",
        INSPECT,
        r"config\.json",
        content("package/config.json", "[]"),
    ),
    Bad(
        "package: newer schema",
        INSPECT,
        r"config\.json: schema_version",
        edit_json("package/config.json", schema_version=2),
    ),
    Bad(
        "package: unknown field",
        INSPECT,
        r"config\.json: colour",
        edit_json("package/config.json", colour="red"),
    ),
    Bad(
        "package: no files listed",
        INSPECT,
        r"config\.json: files",
        edit_json("package/config.json", files=None),
    ),
    Bad(
        "package: unknown family",
        INSPECT,
        "unknown family 'resnat'; did you mean 'resnet'",
        edit_json("package/config.json", family="resnat"),
    ),
    Bad(
        "package: spec of another family",
        INSPECT,
        "spec of family unet",
        edit_json("package/config.json", family="unet"),
    ),
    Bad(
        "package: spec is no mapping",
        INSPECT,
        r"config\.json: spec",
        edit_json("package/config.json", spec=[1]),
    ),
    Bad(
        "package: unknown input",
        INSPECT,
        r"config\.json: input",
        edit_json("package/config.json", input={"kind": "sound"}),
    ),
    Bad(
        "package: weights missing",
        RUN,
        r"model\.safetensors.*missing",
        remove("package/model.safetensors"),
        3,
    ),
    Bad(
        "package: weights cut",
        RUN,
        r"model\.safetensors is not the file",
        cut("package/model.safetensors"),
        3,
    ),
    Bad(
        "package: one byte of the weights",
        RUN,
        r"model\.safetensors is not the file",
        flip("package/model.safetensors"),
        3,
    ),
    Bad(
        "package: weights of another",
        RUN,
        r"model\.safetensors is not the file",
        lambda f: shutil.copy(f / "spade/model.safetensors", f / "package"),
        3,
    ),
    Bad(
        "package: another spec's weights",
        RUN,
        "package: weights do not fit",
        lambda f: edit_json("package/config.json", spec=narrower(f))(f),
    ),
    Bad(
        "package: own generator not allowed",
        INSPECT,
        "--generator",
        edit_json(
            "package/config.json",
            family="custom",
            spec={"factory": "os:getcwd", "input_shape": [3, 32, 32]},
        ),
    ),
    Bad("package: exists", "import net_G.pth -o package", "package exists; add --overwrite"),
    Bad(
        "package: --overwrite of a folder that is none",
        "import net_G.pth -o pictures --overwrite",
        "pictures was not written by edgegan",
    ),
    Bad(
        "package: no discriminator",
        COMPRESS,
        "package keeps no discriminator",
        recipe({"distill.gan_weight": 1.0}),
    ),
    Bad("run: manifest cut", "report run", r"run\.json is not readable JSON", cut("run/run.json")),
    Bad(
        "run: newer schema",
        "report run",
        "schema version 7",
        edit_json("run/run.json", schema_version=7),
    ),
    Bad("run: manifest is a list", "report run", r"run\.json", content("run/run.json", "[]")),
    Bad("run: no student yet", "report run", "run has no finished student"),
    Bad(
        "run: recipe of another version",
        "evaluate run",
        r"unknown key 'old'",
        lambda f: edit_json("run/run.json", recipe={"name": "a", "old": 1})(f),
    ),
]


ONNX = "run/export/student_fp32.onnx"
APPLY = f"run {ONNX} pictures -o out"
MODEL = ONNX + ".model.json"
ARTEFACTS = [
    Bad(
        "artefact: not there",
        "run nothing.tflite pictures -o out",
        r"nothing\.tflite does not exist",
    ),
    Bad("artefact: another kind of file", "run net_G.pth pictures -o out", r"net_G\.pth"),
    Bad("artefact: no model.json", APPLY, r"has no student_fp32\.onnx\.model\.json", remove(MODEL)),
    Bad("artefact: model.json cut", APPLY, r"model\.json is not readable JSON", cut(MODEL)),
    Bad(
        "artefact: model.json of an older schema",
        APPLY,
        r"model\.json: schema_version",
        edit_json(MODEL, schema_version=0),
    ),
    Bad(
        "artefact: model.json without inputs",
        APPLY,
        r"model\.json: inputs",
        edit_json(MODEL, inputs=None),
    ),
    Bad(
        "artefact: model.json with an empty input list",
        APPLY,
        r"model\.json",
        edit_json(MODEL, inputs=[]),
    ),
    Bad(
        "artefact: unknown precision",
        APPLY,
        r"model\.json: precision",
        edit_json(MODEL, precision="int2"),
    ),
    Bad("artefact: one byte changed", APPLY, r"student_fp32\.onnx is not the file", flip(ONNX), 3),
    Bad("artefact: cut", APPLY, r"student_fp32\.onnx is not the file", cut(ONNX), 3),
    Bad(
        "artefact: noise with a true hash",
        APPLY,
        r"onnxruntime cannot run.*student_fp32\.onnx",
        damaged_artefact(b"noise" * 40),
        4,
    ),
    Bad(
        "artefact: empty with a true hash",
        APPLY,
        r"onnxruntime cannot run.*student_fp32\.onnx",
        damaged_artefact(b""),
        4,
    ),
    Bad(
        "artefact: export.json cut",
        "bench run",
        r"export\.json is not readable JSON",
        cut("run/export/export.json"),
    ),
    Bad(
        "artefact: export.json is a list",
        "bench run",
        r"export\.json",
        content("run/export/export.json", "[1]"),
    ),
    Bad(
        "artefact: export.json without artefacts",
        "bench run",
        r"export\.json",
        edit_json("run/export/export.json", artefacts=None),
    ),
    Bad(
        "artefact: export.json names a lost file",
        "bench run",
        r"student_fp32\.onnx.*missing",
        remove(ONNX),
        3,
    ),
    Bad(
        "artefact: export.json leaves its folder",
        "bench run",
        r"net_G\.pth|\.\./",
        edit_json("run/export/export.json", artefacts={"../../net_G.pth": {"sha256": "0"}}),
        None,
    ),
    Bad("artefact: no export", "bench pictures", "pictures holds no export.json"),
    Bad("artefact: bundle without an export", "bundle run", r"export\.json", remove("run/export")),
    Bad("artefact: bundle of no run", "bundle pictures", "pictures is not a run"),
]

FLAGS = [
    Bad("flag: nothing given", "compress", "recipe|RECIPE"),
    Bad(
        "output: file system that refuses",
        "import net_G.pth -o /proc/edgegan/p",
        "cannot create folder /proc/edgegan",
    ),
    Bad("device: unknown", "bench run --device toaster", "'toaster'"),
    Bad("device: empty", "bench run --device ''", "--device"),
    Bad(
        "device: shell words",
        "bench run --device 'host; touch owned'",
        "--device 'host; touch owned'",
    ),
    Bad("flag: unknown", "zoo --colour", "--colour"),
    Bad("flag: unknown command", "compres resnet", "compres"),
    Bad("flag: no threads", "bench run --threads 0", "--threads"),
    Bad("flag: threads in words", "bench run --threads two", "--threads"),
    Bad("flag: no time", "bench run --seconds 0", "--seconds"),
    Bad("flag: misspelt target", "export package --target tflit", "did you mean 'tflite'"),
    Bad(
        "flag: unknown precision", "export package --precision int4", "choose from fp32, fp16, int8"
    ),
    Bad("flag: unknown side", "export run --which all", "student, teacher, both"),
    Bad("flag: size in words", "export package --size 12by12", "HEIGHTxWIDTH"),
    Bad("flag: size of zero", "export package --size 0", "HEIGHTxWIDTH"),
    Bad("flag: negative size", "export package --size=-32", "HEIGHTxWIDTH"),
    Bad("flag: three sides", "inspect package --size 1x2x3", "HEIGHTxWIDTH"),
    Bad("flag: size that does not divide", "inspect package --size 33", "multiples of 4"),
    Bad("flag: unknown fit", RUN + " --fit crop", "choose from tile, resize"),
    Bad("flag: nothing to import", "import -o out", "give a checkpoint file"),
    Bad(
        "flag: input shape missing",
        "import net_G.pth -o out --generator os:getcwd",
        "--input-shape",
    ),
    Bad(
        "flag: generator without a colon",
        "import net_G.pth -o out --generator mynet --input-shape 3x32x32",
        "mynet",
    ),
    Bad(
        "flag: generator that does not exist",
        "import net_G.pth -o out --generator no_such:build --input-shape 3x32x32",
        "no_such",
    ),
    Bad(
        "flag: generator that is no network",
        "import -o out --generator os:getcwd --input-shape 3x32x32",
        "os:getcwd",
    ),
    Bad(
        "flag: family with own generator",
        "import net_G.pth -o out --generator a:b --input-shape 3x32x32 --family unet",
        "--family does not go with --generator",
    ),
    Bad(
        "flag: wrong family",
        "import net_G.pth -o out --family unet",
        "'resnet' generator, not 'unet'",
    ),
    Bad("flag: misspelt family", "import net_G.pth -o out --family resnt", "did you mean 'resnet'"),
    Bad(
        "flag: widths that do not fit", "import net_G.pth -o out --widths 1_2", "width config '1_2'"
    ),
    Bad("flag: widths in words", "import net_G.pth -o out --widths wide", "wide"),
    Bad("flag: bundle for another system", "bundle run --target ios", "android"),
    Bad("flag: unknown recipe to print", "recipes cartoongam", "did you mean 'cartoongan'"),
    Bad("flag: evaluate nothing", "evaluate nowhere", "nowhere does not exist"),
    Bad("flag: evaluate one folder", "evaluate pictures", "give a second folder"),
    Bad("flag: evaluate without pictures", "evaluate package package", "--images"),
    Bad(
        "flag: evaluate with other weights",
        "evaluate pictures pictures --feature-weights weights.pth",
        r"weights\.pth holds no Inception",
    ),
    Bad(
        "flag: unknown feature layer",
        "evaluate pictures pictures --feature-weights weights.pth --features inception-76",
        "did you mean 'inception-768'",
    ),
    Bad(
        "flag: perceptual weights of another net",
        "evaluate pictures pictures --perceptual weights.pth",
        r"weights\.pth is neither VGG16",
    ),
    Bad(
        "flag: segmentation by weights alone",
        "evaluate pictures pictures --segmentation weights.pth --labels pictures",
        r"weights\.pth lacks 'base\.0\.0\.weight'.*TorchScript or ONNX",
    ),
    Bad(
        "flag: evaluation output exists",
        "evaluate pictures pictures -o net_G.pth",
        r"net_G\.pth exists",
    ),
    Bad("flag: no classes", "evaluate pictures pictures --classes 0", "--classes"),
]
