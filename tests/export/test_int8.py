"""int8 by policy: what computes in what, ranges, sensitivity, layers kept float, the ONNX form that is chosen."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support.commands import SIZE, edgegan
from torch import nn

from edgegan.artefact import read_model
from edgegan.errors import ConfigError, ParityError
from edgegan.export import calibrate
from edgegan.export.flatbuffer import Operation, Tensor, read_operations
from edgegan.export.int8_onnx import pick
from edgegan.export.int8_tflite import edge_names, exactly
from edgegan.export.parity import check, check_drop, compare
from edgegan.export.policy import Int8Options
from edgegan.export.sensitivity import Effect, Layer, as_csv, keep_worst_float, rank_layers
from edgegan.export.targets import TARGETS

CHILD = """
import json, sys
from pathlib import Path
import numpy as np
from edgegan.export.flatbuffer import read_operations
from edgegan.export.int8_maker import Int8Request
from edgegan.export.int8_tflite import TfliteInt8
from edgegan.export.sensitivity import all_operations, keep_worst_float, rank_layers
from edgegan.export.signature import Signature
from edgegan.metrics.quality import psnr
from edgegan.package import ImageIO

source, work = Path(sys.argv[1]), Path(sys.argv[2])
images = np.load(work / "images.npy")
signature, size = Signature().resolved("NHWC"), images.shape[2:]
tensors = signature.input_info(ImageIO(), size), signature.image_info("output", ImageIO(), size)
told = {}
for policy in ("static", "dynamic", "mixed", "int16x8"):
    maker = TfliteInt8(Int8Request(source, policy, "min-max", {}, images, *tensors))
    reference = maker.run(source, images)
    path = maker.build(work / f"{policy}.tflite")
    told[policy] = psnr(maker.run(path, images), reference)
static = TfliteInt8(Int8Request(source, "static", "percentile", {}, images, *tensors))
told["percentile"] = psnr(static.run(static.build(work / "p.tflite"), images), reference)
everything = tuple(each.name for each in static.operations)
told["all float"] = psnr(static.run(static.build(work / "f.tflite", everything), images), reference)
stem = static.layers[0]
static.ranges[stem.operations[0]]["max"] *= 60  # a range far too wide
build = lambda keep: static.build(work / "trial.tflite", keep)
measure = lambda path: psnr(static.run(path, images), reference)
told["broken"] = measure(build(()))
ranking = rank_layers(build, measure, static.layers, told["broken"])
limit = told["broken"] + 6
kept, told["kept"] = keep_worst_float(build, measure, ranking, static.layers, limit, told["broken"])
told["worst"] = ranking[0].operations[0] == stem.operations[0]
told["how many"] = len(kept)
(work / "told.json").write_text(json.dumps(told))
"""


@pytest.fixture(scope="session")
def global_export(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """A batch-global generator, exported with its layers ranked."""
    from edgegan.models.packaging import GOLDEN_COUNT, card, golden_images
    from edgegan.models.resnet.network import ResnetSpec
    from edgegan.models.zoo import build, count_parameters, make_golden
    from edgegan.package import write_package

    torch.manual_seed(0)
    spec = ResnetSpec.from_ngf(8, 1, block="separable", norm="batch-global")
    module = build("resnet", spec).train()
    with torch.no_grad():
        for _ in range(20):
            module(torch.rand(4, 3, SIZE, SIZE) * 2 - 1)
    module.eval()
    folder = tmp_path_factory.mktemp("global")
    (folder / "package").mkdir()
    golden = make_golden(module, golden_images(GOLDEN_COUNT, (SIZE, SIZE), 3))
    config = {"family": "resnet", "spec": spec.model_dump(mode="json"), "size": (SIZE, SIZE)}
    config |= {"role": "student", "parameters": count_parameters(module)}
    words = card("x", "resnet", 1, "unstated", [])
    write_package(folder / "package", config, module.state_dict(), golden, words)
    arguments = ["export", folder / "package", "-o", folder / "out", "--target", "tflite"]
    arguments += ["--precision", "fp32", "--precision", "int8"]
    edgegan(*arguments, "--calibration", pictures, "--sensitivity")
    return folder


def test_batch_global_is_int8_throughout(global_export: Path) -> None:
    """The whole picture is seen, and nothing but the image's own conversion is float."""
    model = read_model(global_export / "out" / "student_int8.tflite")
    assert model.quantization == "static-int8"
    assert model.computed_in["float"] == 0
    assert model.parity.psnr_db > 30
    assert model.calibration is not None and model.calibration.endswith(("min-max", "percentile"))


def test_sensitivity_names_layers(global_export: Path) -> None:
    """Every layer with weights is ranked under its name in the generator, best gain first."""
    with (global_export / "out" / "student_int8.tflite.sensitivity.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = {row["layer"] for row in rows}
    assert {"stem", "down1", "blocks.0.conv1.depthwise", "up1.conv", "head.conv"} <= names
    assert {"global_branch.probe", "global_branch.scale"} <= names
    gains = [float(row["gain_db"]) for row in rows]
    assert gains == sorted(gains, reverse=True)
    macs = {row["layer"]: int(row["macs"]) for row in rows}
    assert macs["stem"] == SIZE * SIZE * 8 * 3 * 49
    assert macs["blocks.0.conv1.depthwise"] == (SIZE // 4) ** 2 * 32 * 9
    model = read_model(global_export / "out" / "student_int8.tflite")
    assert [each.layer for each in model.sensitivity] == [row["layer"] for row in rows]


def test_policies(global_export: Path, tmp_path: Path) -> None:
    """Each policy quantises what it says; a layer with a ruined range is found and saved.

    The source is a finished artefact, whose DEPTH_TO_SPACE the quantizer leaves alone; an export quantises first.
    """
    exported = read_operations(global_export / "out" / "student_int8.tflite")
    assert {each.computed_in for each in exported if "QUANTIZE" not in each.kind} == {"int8"}
    assert "DEPTH_TO_SPACE" in {each.kind for each in exported}
    images = np.random.default_rng(0).uniform(-1, 1, (3, 3, SIZE, SIZE)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    source = global_export / "out" / "student_fp32.tflite"
    subprocess.run(
        [sys.executable, "-c", CHILD, str(source), str(tmp_path)], check=True, capture_output=True
    )
    told = json.loads((tmp_path / "told.json").read_text())
    found = {
        policy: {
            each.computed_in
            for each in read_operations(tmp_path / f"{policy}.tflite")
            if each.kind not in ("QUANTIZE", "DEQUANTIZE", "DEPTH_TO_SPACE")
        }
        for policy in ("static", "dynamic", "mixed", "int16x8")
    }
    assert found["static"] == {"int8"}
    assert found["dynamic"] == {"dynamic_int8", "float"}
    assert found["mixed"] == {"int8", "dynamic_int8", "float"}
    assert found["int16x8"] == {"int16"}
    for policy in found:
        operations = read_operations(tmp_path / f"{policy}.tflite")
        assert operations[-1].outputs[0].dtype == "FLOAT32"
    assert min(told["static"], told["percentile"]) > 30
    assert min(told["mixed"], told["dynamic"], told["int16x8"]) > told["static"]
    assert told["all float"] > 100
    assert told["broken"] < told["static"] - 6
    assert told["worst"]
    assert told["kept"] >= told["broken"] + 6
    assert 1 <= told["how many"] < 4


def test_greedy_keeps_the_fewest() -> None:
    """40 dB less 5, 3 and 1: within 2 dB when the two worst stay float."""
    costs = {"a": 1.0, "b": 5.0, "c": 3.0, "harmful": -0.5}
    layers = [Layer(name, (name,), "CONV_2D", 1) for name in costs]

    def build(keep: tuple[str, ...]) -> Path:
        return Path(",".join(keep) or "none")

    def measure(path: Path) -> float:
        kept = path.name.split(",")
        return 40 - sum(cost for name, cost in costs.items() if name not in kept)

    plain = measure(build(()))
    assert plain == 31.5
    ranking = rank_layers(build, measure, layers, plain)
    assert [each.layer for each in ranking] == ["b", "c", "a", "harmful"]
    assert ranking[0].gain_db == 5.0
    kept, reached = keep_worst_float(build, measure, ranking, layers, 38.0, plain)
    assert [each.layer for each in kept] == ["b", "c"]
    assert reached == 39.5
    kept, reached = keep_worst_float(build, measure, ranking, layers, 99.0, plain)
    assert len(kept) == 4
    assert keep_worst_float(build, measure, ranking, layers, 31.0, plain) == ([], 31.5)
    assert as_csv(ranking).splitlines()[1] == "1,b,CONV_2D,1,36.500,5.000"


def test_errors_that_add_up_are_cut_from_one_end() -> None:
    """No layer alone gains anything; from the output back, the last two suffice."""
    layers = [Layer(name, (name,), "CONV_2D", 1) for name in "abcd"]

    def build(keep: tuple[str, ...]) -> Path:
        return Path("".join(keep) or "none")

    def measure(path: Path) -> float:
        kept = path.name if path.name != "none" else ""
        return 40.0 if len(kept) == 4 or {"c", "d"} <= set(kept) else 20.0

    ranking = [Effect(name, (name,), "CONV_2D", 1, 20.0, 0.0) for name in "abcd"]
    kept, reached = keep_worst_float(build, measure, ranking, layers, 39.0, 20.0)
    assert [each.layer for each in kept] == ["d", "c"]
    assert reached == 40.0


def operation(kind: str, name: str, *inputs: str) -> Operation:
    shape = (1, 4, 4, 2)
    return Operation(
        kind,
        tuple(Tensor(each, shape, "FLOAT32") for each in inputs),
        (Tensor(name, shape, "FLOAT32"),),
        {},
    )


def test_ranges_of_copies_and_before_tanh() -> None:
    operations = [
        operation("SLICE", "row", "x"),
        operation("CONCATENATION", "padded", "row", "x"),
        operation("CONCATENATION", "joined", "x", "other"),
        operation("TANH", "y", "wide"),
    ]
    ranges = {
        "x": (-1.0, 2.0),
        "row": (0.0, 1.0),
        "padded": (-1.0, 2.5),
        "joined": (-9.0, 9.0),
        "other": (-9.0, 9.0),
        "wide": (-50.0, 2.0),
        "y": (-1.0, 1.0),
    }
    joined = calibrate.join_copies(ranges, operations)
    assert joined["x"] == joined["row"] == joined["padded"] == (-1.0, 2.5)
    assert joined["joined"] == (-9.0, 9.0)
    clipped = calibrate.clip_before_tanh(joined, operations)
    assert clipped["wide"] == (-3.0, 2.0)
    assert clipped["joined"] == (-9.0, 9.0)


def test_percentile_leaves_out_the_tails() -> None:
    """A million values in [0, 1) and fifty outliers at 10: a ten-thousandth may go at each end."""
    counts = np.zeros(1000, np.int64)
    counts[:100] = 10_000
    counts[-1] = 50
    low, high = calibrate.cut(counts, 0.0, 10.0)
    assert low == 0.0
    assert high == pytest.approx(1.0)
    assert calibrate.cut(np.zeros(10, np.int64), 2.0, 3.0) == (2.0, 3.0)


def test_onnx_form_is_the_fastest_good_one() -> None:
    def form(psnr_db: float, latency_ms: float) -> dict[str, float]:
        return {"psnr_db": psnr_db, "latency_ms": latency_ms}

    assert pick([form(30, 5), form(42, 8), form(50, 12)], 40) == 1
    assert pick([form(41, 8.0), form(45, 8.1), form(50, 12)], 40) == 1  # as fast, and better
    assert pick([form(20, 5), form(33, 9)], 40) == 1


def test_policy_follows_the_norms() -> None:
    batch, instance = nn.Sequential(nn.BatchNorm2d(3)), nn.Sequential(nn.InstanceNorm2d(3))
    assert TARGETS["tflite"].int8_policy("auto", batch) == "static"
    assert TARGETS["tflite"].int8_policy("auto", instance) == "dynamic"
    assert TARGETS["tflite"].int8_policy("mixed", instance) == "mixed"
    assert TARGETS["onnx"].int8_policy("auto", instance) == "auto"
    with pytest.raises(ConfigError, match="use --target tflite"):
        TARGETS["onnx"].int8_policy("int16x8", batch)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"policy": "statik"}, "--int8 statik.*did you mean 'static'"),
        ({"method": "minmax"}, "--calibration-method minmax.*did you mean 'min-max'"),
        ({"max_drop_db": -1.0}, "--max-drop -1"),
    ],
)
def test_wrong_options(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Int8Options(**values)  # type: ignore[arg-type]


def test_edges_are_above_the_trunk() -> None:
    """Half of the work at 4x4 pixels, a little at 8x8: the larger ones are edges, a padded trunk is not."""

    def conv(name: str, side: int, channels: int) -> Operation:
        weight = Tensor("w", (channels, 3, 3, channels), "FLOAT32")
        return Operation(
            "CONV_2D",
            (Tensor("i", (1, side, side, channels), "FLOAT32"), weight),
            (Tensor(name, (1, side, side, channels), "FLOAT32"),),
            {},
        )

    padded = Operation("PAD", (), (Tensor("padded", (1, 6, 6, 64), "FLOAT32"),), {})
    assert edge_names([conv("stem", 32, 4), conv("trunk", 6, 64), padded]) == {"stem"}
    assert exactly("a/b;1") == "^a/b;1;"


def test_gates_name_the_worst_layer_and_the_way_out() -> None:
    ranking = [{"layer": "blocks.3.conv1", "gain_db": 4.2}]
    reference = np.zeros((1, 3, 8, 8), np.float32)
    with pytest.raises(ParityError, match=r"layer blocks\.3\.conv1 \(\+4\.2 dB.*--max-drop"):
        check(compare(reference + 0.2, reference, "int8"), "int8", "x", ranking)
    with pytest.raises(ParityError, match=r"0\.50 dB below.*gate is 0\.3 dB.*blocks\.3\.conv1"):
        check_drop("x", 19.5, 20.0, 0.3, ranking)
    check_drop("x", 19.8, 20.0, 0.3)


def test_max_drop_needs_a_teacher(global_export: Path, tmp_path: Path) -> None:
    arguments = ["export", global_export / "package", "-o", tmp_path / "out", "--max-drop", "0.3"]
    refused = edgegan(*arguments, check=False)
    assert refused.returncode == 2
    assert "gives none to compare" in refused.stderr


def test_effect_is_stored() -> None:
    effect = Effect("a", ("x", "y"), "CONV_2D", 5, 30.0, 1.0)
    assert "a,CONV_2D,5,30.000,1.000" in as_csv([effect])
