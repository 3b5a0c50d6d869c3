"""The predictor: parts cut from real files, rules of widths, interpolation, scale, validation, its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgegan.benchmarks.devices.host import HostDevice
from edgegan.benchmarks.predictor.build import Sample, build_predictor, fit_scale
from edgegan.benchmarks.predictor.family import Layer, Pattern, learn_family
from edgegan.benchmarks.predictor.layers import resize, split
from edgegan.benchmarks.predictor.tables import Predictor, PredictorError, Table, grid
from edgegan.benchmarks.tflite_graph import conv_model, pack, read_graph
from edgegan.errors import ConfigError, InputError
from edgegan.metrics.ranks import mean_ranks, spearman
from edgegan.runtime.session import Session


def test_parts_of_a_student_run_alone_and_count_all_operators(
    finished_run: Path, tmp_path: Path
) -> None:
    path = finished_run / "export" / "student_int8.tflite"
    parts = split(path)
    whole = len(read_graph(path).subgraphs[0].operators)
    assert sum(len(part.model.subgraphs[0].operators) for part in parts) == whole
    for number, part in enumerate(parts[:3]):
        alone = tmp_path / f"{number}.tflite"
        alone.write_bytes(pack(part.model))
        with Session(alone, runtime="litert") as session:
            answer = session.ask(
                {
                    "op": "batch",
                    "models": [str(alone)],
                    "runs": 2,
                    "count": False,
                    "runtime": "litert",
                    "threads": 1,
                }
            )
            assert len(answer["samples_ms"][0]) == 2


def test_pattern_and_resize(tmp_path: Path) -> None:
    """A convolution of 8 channels made one of 24: weights, bias and scales follow, and it still runs."""
    files = []
    for channels in (8, 16, 40):
        files.append(tmp_path / f"{channels}.tflite")
        files[-1].write_bytes(conv_model(6, channels, 3, "int8"))
    family = learn_family(files, [(8, 5), (16, 5), (40, 7)])
    slot = family.slots[0]
    assert (len(family.slots), slot.pattern.variables, slot.rules) == (1, 1, ((0, 1, 1),))
    part = family.examples[slot.pattern.key()]
    resize(part.model, slot.pattern.numbers((24,)))
    made = tmp_path / "made.tflite"
    made.write_bytes(pack(part.model))
    assert split(made)[0].numbers == slot.pattern.numbers((24,))
    assert slot.pattern.widths_of(split(made)[0].numbers) == (24,)
    with Session(made, runtime="litert") as session:
        assert session.inputs[0]["shape"] == [1, 6, 6, 24]
        assert session.run(np.zeros((1, 6, 6, 24), np.int8)).shape == (1, 6, 6, 24)


def test_widths_of_rejects_another_part() -> None:
    pattern = Pattern("x", ((-1, 3, 1), (0, 1, 1), (0, 4, 1)), 1)
    assert pattern.numbers((8,)) == (3, 8, 32)
    assert pattern.widths_of((3, 8, 32)) == (8,)
    assert pattern.widths_of((3, 8, 33)) is None
    assert pattern.widths_of((4, 8, 32)) is None


def test_interpolation_by_hand() -> None:
    table = Table(signature="x", columns=(), axes=((8, 16), (8, 24)), costs=(1.0, 2.0, 3.0, 8.0))
    assert table.cost((8, 8)) == 1.0
    assert table.cost((16, 24)) == 8.0
    assert table.cost((12, 16)) == pytest.approx((1 + 2 + 3 + 8) / 4)
    assert table.cost((24, 8)) == pytest.approx(5.0)  # the last interval goes on
    assert Table(signature="x", columns=(), axes=(), costs=(7.0,)).cost(()) == 7.0


def test_grid_scale_and_ranks_by_hand() -> None:
    assert grid([16, 96, 48], 3) == (16, 56, 96)
    assert grid([8, 8], 5) == (8,)
    assert grid([3, 9], 3) == (3, 6, 9)
    offset, scale = fit_scale([1.0, 2.0, 3.0], [7.0, 9.0, 11.0])
    assert (offset, scale) == (pytest.approx(5.0), pytest.approx(2.0))
    assert list(mean_ranks(np.array([3.0, 1.0, 3.0]))) == [1.5, 0.0, 1.5]
    assert spearman([1, 2, 3, 4], [2, 4, 6, 9]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(0.8)


def test_predictor_of_convolutions(tmp_path: Path) -> None:
    """Built from one-layer networks on this machine; saved, loaded, asked by widths and by file; refused when off."""
    samples = []
    for channels in (8, 16, 32, 48, 56, 64, 24, 40):
        path = tmp_path / f"{channels}.tflite"
        path.write_bytes(conv_model(16, channels, 3, "int8"))
        samples.append(Sample(path, (channels,)))
    built = build_predictor(samples[:6], HostDevice(), unseen=samples[6:])
    assert built.kind == "predicted" and built.unit == "ms"
    assert built.validation is not None and built.validation.networks == 2
    built.save(tmp_path / "predictor.json")
    loaded = Predictor.load(tmp_path / "predictor.json")
    assert loaded == built
    layers = loaded.layers_from((40,))
    assert layers == loaded.layers_of(samples[7].path)
    assert loaded.predict(layers) > loaded.predict(loaded.layers_from((8,)))
    bad = built.validation.model_copy(update={"median_error": 0.11})
    with pytest.raises(PredictorError, match=r"off by 11\.0%.*limit is 10%"):
        built.model_copy(update={"validation": bad}).check()
    with pytest.raises(PredictorError, match="unknown"):
        built.model_copy(update={"validation": None}).check()
    with pytest.raises(ConfigError, match="no table"):
        loaded.predict([Layer("absent", ())])
    other = tmp_path / "other.tflite"
    other.write_bytes(conv_model(18, 16, 3, "int8"))
    with pytest.raises(InputError, match="part 0 is in no table"):
        loaded.layers_of(other)
    with pytest.raises(ConfigError, match="at least 6 samples"):
        build_predictor(samples[:2], HostDevice())
    (tmp_path / "predictor.json").write_text('{"unit": "hours"}')
    with pytest.raises(InputError, match="build the predictor again"):
        Predictor.load(tmp_path / "predictor.json")
