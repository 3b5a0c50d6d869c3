"""`edgegan zoo` and `edgegan inspect`: the published figures, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

from support.commands import SIZE, edgegan


def test_zoo_gives_the_published_figures() -> None:
    rows = {row["name"]: row for row in json.loads(edgegan("zoo", "--json").stdout)}

    def rounded(name: str, key: str, digits: int) -> float:
        return round(rows[name][key] / 1e9, digits)

    nine = rows["resnet_9blocks"]
    assert (round(nine["parameters"] / 1e6, 3), rounded("resnet_9blocks", "macs", 2)) == (
        11.378,
        49.55,
    )
    assert rounded("resnet_9blocks", "macs_output_sized", 2) == 56.80
    assert rounded("mobile_resnet_9blocks", "macs", 2) == 11.07
    assert rounded("mobile_resnet_9blocks", "macs_output_sized", 2) == 18.31
    assert round(rows["mobile_resnet_9blocks_ngf16"]["parameters"] / 1e6, 3) == 0.137
    assert rounded("mobile_resnet_9blocks_ngf16", "macs", 3) == 0.955
    assert rounded("mobile_resnet_9blocks_ngf16", "macs_output_sized", 3) == 1.408
    assert round(rows["unet_256"]["parameters"] / 1e6, 1) == 54.4
    assert (rounded("unet_256", "macs", 2), rounded("unet_256", "macs_output_sized", 2)) == (
        6.05,
        18.14,
    )
    assert round(rows["spade_cityscapes"]["parameters"] / 1e6, 2) == 93.05
    assert rounded("spade_cityscapes", "macs", 2) == 281.28
    assert (rows["cartoongan"]["parameters"], rounded("cartoongan", "macs", 2)) == (
        11_129_667,
        54.38,
    )
    assert (rows["transformer_net"]["parameters"], rounded("transformer_net", "macs", 2)) == (
        1_679_235,
        10.08,
    )
    assert (rows["animeganv2"]["parameters"], rounded("animeganv2", "macs", 2)) == (
        2_143_552,
        26.28,
    )
    assert rows["sngan_cifar10"]["parameters"] == 4_276_739
    assert round(rows["sngan_cifar10"]["macs_convolution"] / 1e6, 1) == 1680.6
    config = rows["resnet_32_32_48_32_48_48_16_16"]
    assert (config["macs_published"], config["parameters"]) == (4_993_843_200, 822_051)
    assert all(row["macs"] == row["macs_torch"] for row in rows.values())


def test_zoo_table_is_readable() -> None:
    text = edgegan("zoo").stdout
    assert "spade_cityscapes" in text
    assert "281.277" in text


def test_inspect(resnet_checkpoint: Path, tmp_path: Path) -> None:
    edgegan("import", resnet_checkpoint, "-o", tmp_path / "p", "--size", SIZE)
    found = json.loads(edgegan("inspect", tmp_path / "p", "--json").stdout)
    stem = next(layer for layer in found["layers"] if layer["name"] == "stem")
    assert stem["macs"] == SIZE * SIZE * 16 * 3 * 49
    assert stem["parameters"] == 16 * 3 * 49 + 16
    assert abs(sum(layer["share"] for layer in found["layers"]) - 1) < 1e-9
    trunk = next(group for group in found["groups"] if group["name"] == "down2")
    assert trunk["channels"] == 64
    assert {"down2", "blocks.0.conv2", "blocks.2.conv2", "up1"} <= set(trunk["layers"])
    text = edgegan("inspect", tmp_path / "p").stdout
    assert "channel group" in text
