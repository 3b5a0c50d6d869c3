"""Inception from either layout against the network written as modules, and how files are refused."""

from __future__ import annotations

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgegan.errors import CheckpointError, ConfigError, EdgeGANError, InputError, IntegrityError
from edgegan.metrics.download import fetch
from edgegan.metrics.extractors import (
    collect,
    inception_extractor,
    inception_logits,
    open_extractor,
)
from edgegan.metrics.inception import inception_features, read_inception

WIDTH = 4  # every width of the public network would take seconds


class Unit(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, kernel: object = 1, stride: int = 1, padding: object = 0):
        super().__init__()
        self.conv = nn.Conv2d(inputs, WIDTH, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(WIDTH, eps=1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn(self.conv(x)).relu()


class Mixed(nn.Module):
    """One module: named units, and the paths between them ('pool' and 'max' are pools)."""

    def __init__(self, inputs: int, units: dict[str, tuple], paths: list[list]) -> None:
        super().__init__()
        for name, (kernel, *rest) in units.items():
            first = name in {path[0] for path in paths} or name == "branch_pool"
            padding = 0 if rest else tuple(k // 2 for k in kernel)
            self.add_module(name, Unit(inputs if first else WIDTH, kernel, *(rest or [1]), padding))
        self.paths = paths

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = []
        for path in self.paths:
            y = x
            for name in path:
                if name == "average":
                    y = F.avg_pool2d(y, 3, 1, 1, count_include_pad=False)
                elif name == "max":
                    y = F.max_pool2d(y, 3, 1, 1)
                elif name == "reduce":
                    y = F.max_pool2d(y, 3, 2)
                else:
                    y = getattr(self, name)(y)
            made.append(y)
        return torch.cat(made, 1)


def mixed_a(inputs: int) -> Mixed:
    units = {"branch1x1": ((1, 1),), "branch5x5_1": ((1, 1),), "branch5x5_2": ((5, 5),)}
    units |= {"branch3x3dbl_1": ((1, 1),), "branch3x3dbl_2": ((3, 3),), "branch3x3dbl_3": ((3, 3),)}
    doubled = [f"branch3x3dbl_{i}" for i in (1, 2, 3)]
    paths = [["branch1x1"], ["branch5x5_1", "branch5x5_2"], doubled, ["average", "branch_pool"]]
    return Mixed(inputs, units | {"branch_pool": ((1, 1),)}, paths)


def mixed_b(inputs: int) -> Mixed:
    units = {"branch3x3": ((3, 3), 2), "branch3x3dbl_1": ((1, 1),), "branch3x3dbl_2": ((3, 3),)}
    paths = [["branch3x3"], [f"branch3x3dbl_{i}" for i in (1, 2, 3)], ["reduce"]]
    return Mixed(inputs, units | {"branch3x3dbl_3": ((3, 3), 2)}, paths)


def mixed_c(inputs: int) -> Mixed:
    one, row, column = ((1, 1),), ((1, 7),), ((7, 1),)
    units = {"branch1x1": one, "branch7x7_1": one, "branch7x7_2": row, "branch7x7_3": column}
    units |= {f"branch7x7dbl_{i + 1}": k for i, k in enumerate((one, column, row, column, row))}
    doubled = [f"branch7x7dbl_{i}" for i in range(1, 6)]
    paths = [["branch1x1"], [f"branch7x7_{i}" for i in (1, 2, 3)], doubled]
    return Mixed(inputs, units | {"branch_pool": one}, [*paths, ["average", "branch_pool"]])


def mixed_d(inputs: int) -> Mixed:
    units = {"branch3x3_1": ((1, 1),), "branch3x3_2": ((3, 3), 2), "branch7x7x3_1": ((1, 1),)}
    units |= {"branch7x7x3_2": ((1, 7),), "branch7x7x3_3": ((7, 1),), "branch7x7x3_4": ((3, 3), 2)}
    sevens = [f"branch7x7x3_{i}" for i in range(1, 5)]
    return Mixed(inputs, units, [["branch3x3_1", "branch3x3_2"], sevens, ["reduce"]])


def mixed_e(inputs: int, pool: str) -> Mixed:
    one, row, column = ((1, 1),), ((1, 3),), ((3, 1),)
    units = {"branch1x1": one, "branch3x3_1": one, "branch3x3_2a": row, "branch3x3_2b": column}
    units |= {"branch3x3dbl_1": one, "branch3x3dbl_2": ((3, 3),), "branch3x3dbl_3a": row}
    units |= {"branch3x3dbl_3b": column, "branch_pool": one}
    double = ["branch3x3dbl_1", "branch3x3dbl_2"]
    paths = [["branch1x1"], ["branch3x3_1", "branch3x3_2a"], ["branch3x3_1", "branch3x3_2b"]]
    paths += [[*double, "branch3x3dbl_3a"], [*double, "branch3x3dbl_3b"], [pool, "branch_pool"]]
    return Mixed(inputs, units, paths)


class Network(nn.Module):
    """The FID network in its public names, narrow."""

    def __init__(self) -> None:
        super().__init__()
        w = WIDTH
        self.Conv2d_1a_3x3, self.Conv2d_2a_3x3 = Unit(3, 3, 2), Unit(w, 3)
        self.Conv2d_2b_3x3, self.Conv2d_3b_1x1 = Unit(w, 3, 1, 1), Unit(w, 1)
        self.Conv2d_4a_3x3 = Unit(w, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = mixed_a(w), mixed_a(4 * w), mixed_a(4 * w)
        self.Mixed_6a = mixed_b(4 * w)
        self.Mixed_6b, self.Mixed_6c = mixed_c(6 * w), mixed_c(4 * w)
        self.Mixed_6d, self.Mixed_6e = mixed_c(4 * w), mixed_c(4 * w)
        self.Mixed_7a = mixed_d(4 * w)
        self.Mixed_7b, self.Mixed_7c = mixed_e(6 * w, "average"), mixed_e(6 * w, "max")
        self.fc = nn.Linear(6 * w, 10)

    def forward(self, x: torch.Tensor) -> dict[int, torch.Tensor]:
        y = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        y = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(y, 3, 2)))
        y = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(y, 3, 2))))
        y = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(y)))))
        made = {768: y}
        made[1280] = y = self.Mixed_7a(y)
        made[2048] = self.Mixed_7c(self.Mixed_7b(y))
        return {dimensions: each.mean((2, 3)) for dimensions, each in made.items()}


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    made = Network().eval()
    for layer in made.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias)
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    return made


@pytest.fixture(scope="module")
def weights(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "public.pth"
    torch.save(network.state_dict(), path)
    return path


def test_features_equal_the_modules(network: Network, weights: Path) -> None:
    x = torch.randn(2, 3, 299, 299)
    with torch.no_grad():
        expected = network(x)
        folded = read_inception(weights)
        for dimensions, value in expected.items():
            assert torch.allclose(inception_features(folded, x, dimensions), value, atol=1e-4)
        logits = inception_logits(weights)(x)
    assert torch.allclose(logits, expected[2048] @ network.fc.weight.T, atol=1e-4)


def test_other_weights_are_not_called_fid(weights: Path) -> None:
    """Without a name the deepest layer is taken; only the published file makes a distance an FID."""
    extractor = inception_extractor(weights)
    assert (extractor.name, extractor.title) == ("inception-2048", "Frechet-2048")
    pictures = [torch.rand(3, 40, 50) * 2 - 1 for _ in range(3)] + [torch.zeros(3, 30, 30)]
    features = collect(extractor.call, pictures, 4, "pictures")
    assert features.shape == (4, 6 * WIDTH)
    scaled = F.interpolate((pictures[1][None] + 1) / 2, (299, 299), mode="bilinear") * 2 - 1
    alone = inception_features(read_inception(weights), scaled, 2048)
    assert np.allclose(features[1], alone.detach().numpy(), atol=1e-4)


def test_weights_that_end_early(weights: Path, tmp_path: Path) -> None:
    state = read_inception(weights)
    short = {key: value for key, value in state.items() if "mixed_9" not in key}
    short = {key: value for key, value in short.items() if "mixed_10" not in key}
    torch.save(short, tmp_path / "short.pth")
    assert inception_extractor(tmp_path / "short.pth").name == "inception-768"
    for path, name, words in (
        (tmp_path / "short.pth", "inception-2048", "ends before the 2048-dimensional layer"),
        (tmp_path / "short.pth", "inception-76", "did you mean 'inception-768'"),
        (tmp_path / "none.pth", None, "does not exist"),
        (None, None, "give their path"),
    ):
        with pytest.raises(EdgeGANError, match=words), open_extractor(path, name):
            pass
    broken = torch.load(weights, weights_only=True)
    del broken["Mixed_6c.branch7x7_2.bn.running_var"]
    torch.save(broken, tmp_path / "broken.pth")
    with pytest.raises(CheckpointError, match=r"broken\.pth lacks 'Mixed_6c\.branch7x7_2\.bn\."):
        read_inception(tmp_path / "broken.pth")
    torch.save({"a.weight": torch.ones(2)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="holds no Inception weights"):
        read_inception(tmp_path / "other.pth")


def test_download_is_checked_and_kept(tmp_path: Path) -> None:
    data = b"weights" * 100
    digest = hashlib.sha256(data).hexdigest()
    served = tmp_path / "served"
    served.mkdir()
    (served / f"net-{digest[:8]}.pth").write_bytes(data)
    (served / "net-00000000.pth").write_bytes(data)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    cache = tmp_path / "cache"
    path = fetch(f"{url}/net-{digest[:8]}.pth", cache)
    assert path.read_bytes() == data
    with pytest.raises(IntegrityError, match="not the expected file"):
        fetch(f"{url}/net-00000000.pth", cache)
    server.shutdown()
    server.server_close()
    assert fetch(f"{url}/net-{digest[:8]}.pth", cache) == path
    with pytest.raises(InputError, match="cannot download"):
        fetch(f"{url}/net-11111111.pth", cache)
    assert [each.name for each in cache.iterdir()] == [path.name]


def test_no_download_without_being_asked() -> None:
    with pytest.raises(ConfigError, match="ask for a download"), open_extractor(None):
        pass
