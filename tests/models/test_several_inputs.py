"""Generators of one's own with several inputs or outputs, the comparison with a source, and where tensors came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.commands import edgegan

from edgegan.compress.teacher.examples import check_kind
from edgegan.contracts.artefact_parts import InputPart
from edgegan.data.datasets import open_dataset
from edgegan.data.images import Crop, read_image, write_image
from edgegan.errors import ConfigError, InputError, ParityError
from edgegan.export.signature import Signature
from edgegan.models.custom import allow_generator
from edgegan.models.ends import Ends, parse_inputs, parse_ranges
from edgegan.models.origins import read_origins
from edgegan.models.packaging import Own, import_generator
from edgegan.package import ImageIO, read_config
from edgegan.recipe.data_section import Data
from edgegan.runtime.apply import Together, run_on_images

SOURCE = """
import torch
from torch import nn


class Inpaint(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(4, 16, 3, padding=1)
        self.b = nn.Conv2d(16, 3, 3, padding=1)

    def forward(self, image, mask):
        h = torch.relu(self.a(torch.cat([image * (1 - mask), mask], 1)))
        made = torch.sigmoid(self.b(h))
        return {"coarse": made * 0.5, "fine": made * mask + image * (1 - mask)}


def inpaint():
    torch.manual_seed(0)
    return Inpaint()


def other():
    torch.manual_seed(1)
    return Inpaint()
"""
SHAPE = (4, 32, 32)
UNIT = parse_ranges("0,1")
PAIR = parse_inputs(["image:3", "mask:1"])


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the user's code, in which the test runs."""
    (tmp_path / "painter.py").write_text(SOURCE)
    monkeypatch.setenv("EDGEGAN_GENERATOR", "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("colour", ["rgb", "bgr"])
def test_inputs_are_split_with_their_own_ranges_and_orders(colour: str) -> None:
    class Sums(torch.nn.Module):
        def forward(self, image: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
            return [mask, image * mask]

    ends = Ends(**UNIT, inputs=parse_inputs(["image:3", "mask:1:0,255"]), result=1, colour=colour)
    x = torch.rand(2, 4, 5, 6) * 2 - 1
    image, mask = (x[:, :3] + 1) / 2, (x[:, 3:] + 1) * 127.5
    made = ends.around(Sums(), 4)(x)
    assert torch.allclose((made + 1) / 2, image * mask, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        (Ends(**UNIT, inputs=PAIR), "--result"),
        (Ends(**UNIT, inputs=PAIR, result="best"), "coarse: (1, 3, 32, 32)"),
        (Ends(**UNIT, inputs=parse_inputs(["image:3", "mask:2"]), result=0), "3 + 2"),
    ],
)
def test_what_goes_in_and_out_is_named_when_it_does_not_fit(
    code: Path, ends: Ends, told: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        import_generator(Own("painter:inpaint", SHAPE, ends), code / "p")
    assert told in str(refused.value)


@pytest.mark.usefixtures("code")
def test_a_picture_and_a_mask_go_all_the_way() -> None:
    own = ["--generator", "painter:inpaint"]
    inputs = ["--input", "image:3", "--input", "mask:1", "--input-shape", "32x32"]
    edgegan("import", *own, *inputs, "--result", "fine", "--range", "0,1", "-o", "pkg")
    takes = read_config(Path("pkg")).input
    assert isinstance(takes, ImageIO)
    assert [(each.name, each.channels) for each in takes.parts] == [("image", 3), ("mask", 1)]
    chance = np.random.default_rng(0)
    for path in ("images/0.png", "images/1.png", "masks/0.png", "masks/1.png"):
        Path(path).parent.mkdir(exist_ok=True)
        write_image(Path(path), chance.integers(0, 256, (32, 32, 3), dtype=np.uint8))
    write_image(Path("black.png"), np.zeros((32, 32, 3), np.uint8))
    assert Signature().resolved("NHWC").input_info(takes, (32, 32)).parts == takes.parts
    allow_generator("painter:inpaint")
    usual: dict[str, Any] = {"fit": "tile", "threads": 1, "overwrite": False}
    for source, mask, place in (
        ("pkg", "black.png", "kept"),
        ("pkg", "masks", "made"),
    ):
        given = Together([Path("images")], [Path(mask)])
        run_on_images(Path(source), given, Path(place), **usual)
    assert np.array_equal(read_image(Path("kept/0.png")), read_image(Path("images/0.png")))
    assert not np.array_equal(read_image(Path("made/0.png")), read_image(Path("images/0.png")))
    with pytest.raises(InputError, match=r"takes 2: name 1 folders.*--beside"):
        run_on_images(Path("pkg"), [Path("images")], Path("no"), **usual)


@pytest.mark.usefixtures("code")
def test_a_run_reads_what_is_beside_its_pictures() -> None:
    for path in ("images/0.png", "images/1.png", "masks/0.png", "masks/1.png"):
        Path(path).parent.mkdir(exist_ok=True)
        write_image(Path(path), np.full((24, 20, 3), 255 * (path[0] == "m"), np.uint8))
    data = Data(train=Path("images"), beside=(Path("masks"),), size=(16, 16))
    split, middle = open_dataset(data, 0).train, Crop(0, 0.5, 0.5)
    x = split.read_input(0, middle, (3, 1))
    assert x.shape == (4, 16, 16) and (x[:3] == -1).all() and np.allclose(x[3], 1, atol=1e-6)
    with pytest.raises(InputError, match="takes 3"):
        split.read_input(0, middle, (3, 1, 1))
    mask = InputPart(name="mask", channels=1)
    takes = ImageIO(channels=4, parts=(InputPart(name="image", channels=3), mask))
    check_kind(takes, data, Path("pkg"))
    with pytest.raises(ConfigError, match=r"image, mask: data.beside must name 1"):
        check_kind(takes, Data(train=Path("images")), Path("pkg"))
    with pytest.raises(ValueError, match="validation_beside"):
        Data(train=Path("a"), beside=(Path("b"),), validation=Path("c"))


def test_a_source_that_computes_something_else_is_told(code: Path) -> None:
    import painter

    ends = Ends(**UNIT, inputs=PAIR, result="fine")
    torch.save({"module." + k: v for k, v in painter.inpaint().state_dict().items()}, "w.pth")
    made = import_generator(
        Own("painter:other", SHAPE, ends),
        code / "p",
        checkpoint=code / "w.pth",
        check="painter:inpaint",
    )
    assert "compared with painter:inpaint" in made.source["changes"][-1]
    found = read_origins(code / "p", made)
    assert found is not None and found["net.a.weight"].key == "a.weight"
    assert not any(each.changed for each in found.values())
    with pytest.raises(ParityError, match="largest difference"):
        import_generator(Own("painter:other", SHAPE, ends), code / "q", check="painter:inpaint")
    assert not (code / "q").exists()
