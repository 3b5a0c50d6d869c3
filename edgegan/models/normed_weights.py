"""Spectral normalisation (Miyato et al. 2018) and weight normalisation (Salimans and Kingma 2016) of layers as torch
saves them, in its old and its new form, folded into plain weights and put back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import torch
from torch.nn.functional import normalize

from edgegan.errors import CheckpointError
from edgegan.weights import State

Kind = Literal["spectral", "weight"]
Form = Literal["old", "new"]
FIRST: Final[dict[tuple[Kind, Form], str]] = {
    ("spectral", "old"): "weight_orig",
    ("spectral", "new"): "parametrizations.weight.original",
    ("weight", "old"): "weight_g",
    ("weight", "new"): "parametrizations.weight.original0",
}
OTHERS: Final[dict[tuple[Kind, Form], tuple[str, ...]]] = {
    ("spectral", "old"): ("weight_u", "weight_v"),
    ("spectral", "new"): ("parametrizations.weight.0._u", "parametrizations.weight.0._v"),
    ("weight", "old"): ("weight_v",),
    ("weight", "new"): ("parametrizations.weight.original1",),
}
NAMES: Final[dict[Kind, str]] = {
    "spectral": "spectral normalisation",
    "weight": "weight normalisation",
}


@dataclass(frozen=True)
class Normed:
    """How a layer's weight was kept: the vectors u and v, or the shape of the lengths that weight normalisation has."""

    kind: Kind
    form: Form
    kept: tuple[torch.Tensor, ...]


def fold_normed(state: State, path: Path, notes: list[str]) -> tuple[State, dict[str, Normed]]:
    """The state with the weights that normed layers use in evaluation, and {weight key: how it was kept}.

    `notes` takes what was folded. Raises CheckpointError naming a layer that lacks a tensor or whose tensors do not
    fit.
    """
    plain, found = dict(state), dict[str, Normed]()
    for (kind, form), first in FIRST.items():
        layers = [key.removesuffix(first) for key in state if key.endswith(f".{first}")]
        for layer in layers:
            original = plain.pop(layer + first)
            rest = [plain.pop(layer + each, None) for each in OTHERS[kind, form]]
            if rest[0] is None:
                raise CheckpointError(
                    f"{path}: missing '{layer}{OTHERS[kind, form][0]}' beside '{layer}{first}'; save the generator "
                    "after its normalisation was removed (torch.nn.utils.remove_spectral_norm, remove_weight_norm)"
                )
            plain.pop(f"{layer}weight", None)  # the copy that torch keeps of the last forward pass
            fold = fold_spectral if kind == "spectral" else fold_lengths
            weight, kept = fold(original, rest[0], rest[-1], f"{path}: '{layer}{first}'")
            plain[f"{layer}weight"] = weight.float()
            found[f"{layer}weight"] = Normed(kind, form, kept)
    for kind, name in NAMES.items():
        count = sum(each.kind == kind for each in found.values())
        notes += [f"{name} of {count} layers folded (exact)"] if count else []
    return plain, found


def fold_spectral(
    weight: torch.Tensor, u: torch.Tensor, v: torch.Tensor | None, where: str
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """weight / (u' W v). W has the outputs as its rows: axis 0 of a convolution, axis 1 of a transposed one, which
    shows in the shapes, or else in W v being along u. Very old files have no v; it is then normalize(W' u), as torch
    computed it."""
    weight, u = weight.double(), u.double()
    fitting = []
    for axis in (0, 1) if weight.dim() > 1 else ():
        matrix = weight.transpose(0, axis).flatten(1)
        if u.shape != matrix.shape[:1]:
            continue
        right = normalize(matrix.T @ u, dim=0, eps=1e-12) if v is None else v.double()
        if right.shape == matrix.shape[1:]:
            along = matrix @ right
            fitting.append((float(normalize(along, dim=0) @ u), float(u @ along), right))
    if not fitting:
        raise CheckpointError(
            f"{where} of shape {tuple(weight.shape)} does not fit its vectors; is the file complete?"
        )
    _, sigma, right = max(fitting, key=lambda each: each[0])
    if sigma <= 0:
        raise CheckpointError(
            f"{where} has spectral norm {sigma:.3g}, not positive; the training that wrote it failed"
        )
    return weight / sigma, (u.float(), right.float())


def fold_lengths(
    lengths: torch.Tensor, directions: torch.Tensor, _: torch.Tensor | None, where: str
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """length * direction / |direction|, a length for each entry of the axes that `lengths` has."""
    if lengths.dim() and (
        lengths.dim() != directions.dim()
        or 1 not in lengths.shape
        or any(n not in (1, m) for n, m in zip(lengths.shape, directions.shape, strict=True))
    ):
        raise CheckpointError(
            f"{where} of shape {tuple(lengths.shape)} does not fit directions of shape {tuple(directions.shape)}"
        )
    return directions.double() / measure(directions, lengths) * lengths.double(), (lengths,)


def measure(directions: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """How long directions are, in the shape of `lengths`; tiny where they are nothing."""
    axes = [
        axis for axis in range(directions.dim()) if not lengths.dim() or lengths.shape[axis] == 1
    ]
    lengths = torch.linalg.vector_norm(directions.double(), dim=axes, keepdim=bool(lengths.dim()))
    return lengths.clamp_min(1e-300)


def unfold_normed(state: State, found: dict[str, Normed]) -> State:
    """The public form of folded weights: spectral norm 1 along the kept vectors, or lengths and directions. A weight
    that was cut since stays plain."""
    result = dict(state)
    for key, normed in found.items():
        weight, layer = result[key], key.removesuffix("weight")
        first, others = FIRST[normed.kind, normed.form], OTHERS[normed.kind, normed.form]
        if normed.kind == "spectral":
            if len(normed.kept[0]) * len(normed.kept[1]) != weight.numel():
                continue
            tensors = (weight, *normed.kept)
        else:
            tensors = (measure(weight, normed.kept[0]).float(), weight)
        del result[key]
        names = (first, *others)
        result |= {layer + name: value for name, value in zip(names, tensors, strict=True)}
    return result
