"""The last hand at a .tflite: one DEPTH_TO_SPACE, names of layers, the same values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgegan.export import to_tflite
from edgegan.export.finish_tflite import finish, short_names
from edgegan.export.flatbuffer import read_operations
from edgegan.export.int8 import layer_weights
from edgegan.export.rewrite import rewrite
from edgegan.export.signature import Boundary, Example, Signature
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.zoo import build, describe_io
from edgegan.runtime.session import Session
from edgegan.tensors import to_artefact

pytestmark = pytest.mark.filterwarnings("ignore")  # the converter's own
SIZES = ((16, 24), (32, 16))


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A .tflite of two signatures as the converter wrote it, and the new names."""
    torch.manual_seed(0)
    spec = ResnetSpec.from_ngf(4, 1, norm="batch")
    module = build("resnet", spec).eval()
    takes, gives = describe_io(spec)
    signature = Signature().resolved("NHWC")
    boundaries = []
    for size in SIZES:
        samples = torch.rand(1, 3, *size) * 2 - 1
        graph, _ = rewrite(module, samples, "tflite")
        ends = (
            signature.input_info(takes, size),
            signature.image_info("output", gives, size),
        )
        item = torch.from_numpy(to_artefact(samples.numpy(), ends[0]))
        boundaries.append((Boundary(graph, *ends), Example(item, size)))
    path = tmp_path_factory.mktemp("converted") / "source.tflite"
    to_tflite.convert_fp32(boundaries, path)
    return path, short_names(path, layer_weights(graph))


@pytest.fixture
def finished(converted: tuple[Path, dict[str, str]], tmp_path: Path) -> Path:
    """A finished copy of it."""
    source, names = converted
    path = tmp_path / "finished.tflite"
    path.write_bytes(source.read_bytes())
    finish(path, names)
    return path


def test_same_values_in_fewer_operations(
    converted: tuple[Path, dict[str, str]], finished: Path
) -> None:
    source, _ = converted
    before, after = (read_operations(each) for each in (source, finished))
    assert [each.kind for each in before].count("TRANSPOSE") == 4
    kinds = [each.kind for each in after]
    assert "TRANSPOSE" not in kinds and kinds.count("DEPTH_TO_SPACE") == 4
    assert len(after) == len(before) - 8
    item = np.random.default_rng(0).uniform(-1, 1, (1, *SIZES[0], 3)).astype(np.float32)
    outputs = []
    for each in (source, finished):
        with Session(each, threads=1) as session:
            outputs.append(session.run(item))
    assert outputs[0].std() > 0 and np.array_equal(*outputs)
    assert finished.stat().st_size < source.stat().st_size
    again = finished.read_bytes()
    finish(finished, {})
    assert len(finished.read_bytes()) <= len(again)


def test_tensors_are_named_after_layers(finished: Path) -> None:
    layers = [each for each in read_operations(finished) if each.is_layer]
    assert [each.name for each in layers][:3] == ["stem.conv", "down1", "down2"]
    assert layers[0].inputs[1].name == "stem.conv.weight"
    found = [t.name for each in read_operations(finished) for t in each.outputs]
    assert len(found) == len(set(found))
    assert not any("torch.nn" in name for name in found[:-1])
