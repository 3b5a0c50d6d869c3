"""`make fuzz-imports`: generators of every family in random public forms and containers, read back and compared."""

from __future__ import annotations

import argparse
import collections
import random
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edgegan.models.animegan.network import AnimeSpec
from edgegan.models.cartoon.network import CartoonSpec
from edgegan.models.checkpoints import Imported, import_checkpoint, public_state
from edgegan.models.compact.network import CompactSpec
from edgegan.models.readings import USUAL, Reading
from edgegan.models.resnet import ResnetSpec
from edgegan.models.rrdbnet.network import RrdbSpec
from edgegan.models.sngan.network import SnganSpec
from edgegan.models.spade.network import SpadeSpec
from edgegan.models.spec import Spec
from edgegan.models.srgan.network import SrganSpec
from edgegan.models.stargan.network import StarganSpec
from edgegan.models.transformer_net.network import TransformerSpec
from edgegan.models.ugatit.network import UgatitSpec
from edgegan.models.unet.network import UnetSpec
from edgegan.models.zoo import FAMILIES, trial_size
from edgegan.package import input_shape

State = dict[str, torch.Tensor]
TOLERANCE = {"float32": 2e-5, "float64": 2e-5, "float16": 0.05, "bfloat16": 0.4}
PREFIXES = ("module.", "_orig_mod.", "generator.", "netG.", "netG_A.")
LABEL = (1.0, 0.0, 0.5)
WRAPPERS = ("state_dict", "model_state_dict", "params", "params_ema", "g_ema", "G_ema", "model")


@dataclass(frozen=True)
class Form:
    """A generator in a public form: of a family, with weights in our names, and what its key map needs to write it."""

    family: str
    spec: Spec
    layout: dict[str, Any]


def draw_spec(family: str, chance: random.Random) -> Form:
    """A tiny generator of this family in one of its public forms."""
    one_of = chance.choice
    layout: dict[str, Any] = {}
    spec: Spec
    if family == "resnet":
        block, padding = one_of(("dense", "separable")), one_of(("reflect", "zero"))
        spec = ResnetSpec.from_ngf(
            one_of((3, 4)),
            blocks=one_of((1, 2, 3)),
            halvings=one_of((1, 2, 3)),
            block=block,
            padding=padding,
            norm=one_of(("none", "instance", "instance_affine", "batch")),
            halving=one_of(("strided", "blurred")),
            doubling=one_of(("transposed", "blurred")),
            dropout=0.0 if block == "separable" else one_of((0.0, 0.5)),
            in_channels=one_of((1, 3, 4, 6)),
            out_channels=one_of((1, 3)),
        )
        layout = {"name": one_of(("conv_block", "block", "layers", "net"))}
    elif family == "unet":
        spec = UnetSpec.from_ngf(
            one_of((3, 4)),
            halvings=one_of((3, 4, 5)),
            norm=one_of(("none", "instance", "instance_affine", "batch")),
            in_channels=one_of((1, 3)),
        )
    elif family == "spade":
        spec = SpadeSpec.from_ngf(
            2,
            classes=one_of((3, 5)),
            upsampling="normal",
            block=one_of(("dense", "separable")),
            norm=one_of(("batch", "instance")),
        )
    elif family == "cartoon":
        spec = CartoonSpec(stem=4, down1=(5, 6), down2=(7, 8), inner=(4, 3), up1=(5, 6), up2=(7, 4))
    elif family == "transformer_net":
        spec = TransformerSpec().scaled(1 / 8, 4, "dense", "instance_affine")
    elif family == "animegan":
        spec = AnimeSpec().scaled(1 / 16, 4, "dense", "batch").model_copy(update={"norm": "layer"})
    elif family == "sngan":
        spec = SnganSpec().scaled(1 / 32, 4, "dense", "batch")
    elif family == "srgan":
        spec = SrganSpec().scaled(1 / 8, 4, "dense", one_of(("instance", "batch")))
    elif family == "compact":
        convs = tuple(one_of((3, 4)) for _ in range(one_of((1, 2, 3))))
        upscale, slope = one_of((1, 2, 3, 4)), one_of(("prelu", "relu"))
        spec = CompactSpec(convs=convs, upscale=upscale, activation=slope)
    elif family == "rrdbnet":
        spec = RrdbSpec(trunk=8, grow=4, blocks=2, up=(8, 4), refine=4, unshuffle=one_of((1, 2, 4)))
        layout = {"form": one_of(("new", "old", "first"))}
    elif family == "ugatit":
        adaptive = one_of(("full", "light"))
        spec = UgatitSpec.from_channels(2, blocks=2, side=16, adaptive=adaptive)
    elif family == "stargan":
        spec = StarganSpec(label=LABEL, stem=4, down=5, trunk=6, inner=(6, 6), up=(5, 4))
    else:
        whole = FAMILIES[family].published[0].spec
        spec = whole.scaled(1 / 8, 4, "dense", "batch")
    return Form(family, spec, layout)


def draw_weights(spec: Spec, seed: int) -> nn.Module:
    """A generator whose every tensor is drawn, statistics too."""
    torch.manual_seed(seed)
    module = spec.build().eval()
    for name, value in module.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif value.is_floating_point() and value.dim() < 2:
            value.add_(0.1 * torch.randn_like(value))
        if without_biases(spec, name):
            value.zero_()
    return module


def without_biases(spec: Spec, own: str) -> bool:
    """Whether this is a bias that the public code leaves out: of a ResNet or U-Net without norms, but the last."""
    bare = isinstance(spec, (ResnetSpec, UnetSpec)) and spec.norm == "none"
    return bare and own.endswith(".bias") and not own.startswith("head.")


def norm_weights(state: State, chance: random.Random) -> tuple[State, State]:
    """The state with some convolutions spectrally or weight normalised, in old or new names; and as it is then."""
    plain, normed = dict(state), dict(state)
    kind, new = chance.choice(("spectral", "weight")), chance.random() < 0.5
    for key in [key for key, value in state.items() if value.dim() == 4 and key.endswith("weight")]:
        if chance.random() < 0.5 or min(state[key].flatten(1).shape) < 2:
            continue
        weight, layer = normed.pop(key), key.removesuffix("weight")
        names = (f"{layer}parametrizations.weight.original", f"{layer}parametrizations.weight.0._")
        if kind == "spectral":
            left, values, right = torch.linalg.svd(weight.flatten(1), full_matrices=False)
            plain[key] = weight / values[0]
            row = (names[0], f"{names[1]}u", f"{names[1]}v")
            row = row if new else (f"{key}_orig", f"{key}_u", f"{key}_v")
            normed |= dict(zip(row, (weight, left[:, 0].clone(), right[0].clone()), strict=True))
        else:
            lengths = weight.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
            row = (f"{names[0]}0", f"{names[0]}1") if new else (f"{key}_g", f"{key}_v")
            normed |= dict(zip(row, (lengths, weight * 3), strict=True))
    return plain, normed


def draw_prefix(chance: random.Random) -> str:
    """What stands before every key: wrappers of whole modules in any order around one name of a generator."""
    plain = [chance.choice(PREFIXES[:2]) for _ in range(chance.choice((0, 0, 1, 2)))]
    named = [chance.choice(PREFIXES[2:])] if chance.random() < 0.5 else []
    row = plain + named
    chance.shuffle(row)
    return "".join(row)


def wrap(state: State, chance: random.Random, notes: list[str]) -> tuple[Any, str | None]:
    """The state as trainings keep it, and the part to ask for where there are several generators."""
    kept: Any = collections.OrderedDict(state) if chance.random() < 0.5 else state
    part = None
    if chance.random() < 0.2:
        other = {key: value * 2 for key, value in state.items()}
        kept, part = {"genA2B": kept, "genB2A": other, "disA": {"model.0.weight": other}}, "genA2B"
        notes.append("two generators")
    for _ in range(chance.choice((0, 1, 1, 2, 3))):
        name = chance.choice(WRAPPERS)
        notes.append(name)
        kept = {name: kept}
        if chance.random() < 0.5:
            beside = (
                {"epoch": 3, "best": np.float64(0.5)},
                {"args": argparse.Namespace(ngf=64), "seen": collections.Counter("ab")},
                {"optimizer": {"state": {0: {"step": torch.ones(1)}}, "param_groups": [{"lr": 1}]}},
                {"netD": {"model.0.weight": torch.ones(1, 3, 4, 4)}},
            )
            kept |= chance.choice(beside)
    return kept, part


def store(kept: Any, folder: Path, chance: random.Random, notes: list[str]) -> Path:
    """Writes what is kept in a random container."""
    path = folder / chance.choice(("latest_net_G.pth", "G.pt", "model.ckpt", "pytorch_model.bin"))
    flat = all(isinstance(value, torch.Tensor) for value in kept.values())
    if flat and chance.random() < 0.3:
        from safetensors.torch import save_file

        path = path.with_suffix(chance.choice((".safetensors", ".pth")))
        save_file({key: value.contiguous() for key, value in kept.items()}, path)
        notes.append(f"safetensors as {path.suffix}")
    else:
        protocol, modern = chance.choice((2, 3, 4, 5)), chance.random() < 0.8
        torch.save(kept, path, pickle_protocol=protocol, _use_new_zipfile_serialization=modern)
        notes.append(f"protocol {protocol}{'' if modern else ', old container'}")
    for _ in range(chance.choice((0, 0, 0, 1, 2))):
        outer = path.with_name(f"{path.stem}_.zip")
        with zipfile.ZipFile(outer, "w") as archive:
            archive.write(path, f"weights/{path.name}")
            archive.writestr("README.md", "weights")
        notes.append("in a zip")
        path = outer
    return path


def check(seed: int, folder: Path) -> tuple[str, str | None]:
    """What was drawn for a seed, and what is wrong with what comes back; None where all is as it was."""
    chance = random.Random(seed)
    families = list(FAMILIES)
    form = draw_spec(families[seed % len(families)], chance)
    module = draw_weights(form.spec, seed)
    notes = [form.family, repr(form.spec), repr(form.layout)]
    try:
        return _compare(form, module, chance, folder, notes)
    except Exception as error:
        return "; ".join(notes), f"{type(error).__name__}: {error}"


def _compare(
    form: Form, module: nn.Module, chance: random.Random, folder: Path, notes: list[str]
) -> tuple[str, str | None]:
    imported = Imported(form.family, form.spec, module.state_dict(), [], form.layout)
    if isinstance(form.spec, (ResnetSpec, UnetSpec)) and form.spec.norm == "none":
        whole = public_state(imported).items()
        absent = [key for key, value in whole if key.endswith(".bias") and not value.any()]
        imported.layout["absent"] = absent
    plain = stored = public_state(imported)
    if chance.random() < 0.4:
        plain, stored = norm_weights(plain, chance)
        notes.append(f"{len(stored) - len(plain)} tensors of normed weights")
    precision = chance.choice(("float32", "float32", "float16", "bfloat16", "float64"))
    dtype = getattr(torch, precision)
    prefix = draw_prefix(chance)
    notes += [precision, f"prefix '{prefix}'"]
    named = {
        prefix + key: value.to(dtype) if value.is_floating_point() else value
        for key, value in stored.items()
    }
    kept, part = wrap(named, chance, notes)
    path = store(kept, folder, chance, notes)
    torch.save(plain, folder / "plain.pth")
    reading = Reading(label="1,0,0.5") if form.family == "stargan" else USUAL
    expected = import_checkpoint(folder / "plain.pth", reading=reading)
    found = import_checkpoint(path, part=part, reading=reading)
    words = "; ".join(notes)
    if found.family != form.family or found.spec != expected.spec:
        return words, f"read as {found.family} {found.spec!r}"
    example = torch.rand(input_shape(form.spec.takes, trial_size(form.spec))) * 2 - 1
    outputs = []
    for each in (expected, found):
        net = each.spec.build().eval()
        net.load_state_dict(each.state)
        with torch.no_grad():
            outputs.append(net(example))
    if stored is plain:
        with torch.no_grad():
            outputs[0] = module(example)
    scale = float(outputs[0].abs().max().clamp_min(1e-3))
    difference = float((outputs[0] - outputs[1]).abs().max()) / scale
    if not difference <= TOLERANCE[precision]:
        return words, f"outputs differ by {difference:.1e}"
    back = public_state(found)
    return words, _difference(back, stored)


def _difference(back: State, wanted: State) -> str | None:
    """What of the public keys did not come back."""
    lost, new = set(wanted) - set(back), set(back) - set(wanted)
    if lost or new:
        return f"public keys lost {sorted(lost)[:3]}, new {sorted(new)[:3]}"
    shapes = [key for key, value in wanted.items() if back[key].shape != value.shape]
    return f"'{shapes[0]}' has another shape" if shapes else None


def main() -> None:
    """Prints what went wrong, by seed; exit 1 where anything did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    given = parser.parse_args()
    wrong = 0
    for seed in range(given.start, given.start + given.count):
        with tempfile.TemporaryDirectory(prefix="fuzz-imports-") as name:
            words, problem = check(seed, Path(name))
        if problem:
            wrong += 1
            sys.stdout.write(f"{seed:4} {problem}\n     {words}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{given.count} imports, {wrong} wrong\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
