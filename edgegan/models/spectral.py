"""Spectral normalisation (Miyato et al. 2018) as torch saves it, folded into plain weights and put back."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn.functional import normalize

from edgegan.errors import CheckpointError
from edgegan.weights import State

Vectors = dict[str, tuple[torch.Tensor, torch.Tensor]]


def fold_spectral(state: State, path: Path) -> tuple[State, Vectors]:
    """weight_orig, weight_u, weight_v -> weight = weight_orig / (u' W v), what the layer uses in evaluation.

    Also gives {weight key: (u, v)}. Very old files have no v; it is then normalize(W' u), as torch
    computed it. Raises CheckpointError naming a layer without its vectors, or whose sigma is not positive.
    """
    vectors: Vectors = {}
    plain = dict(state)
    for key in [key for key in state if key.endswith(".weight_orig")]:
        name = key.removesuffix("_orig")
        weight = plain.pop(key)
        if f"{name}_u" not in plain:
            raise CheckpointError(
                f"{path}: missing '{name}_u' beside '{key}'; save the generator after "
                "torch.nn.utils.remove_spectral_norm"
            )
        matrix = weight.double().flatten(1)
        u = plain.pop(f"{name}_u").double()
        v = plain.pop(f"{name}_v", None)
        if u.shape != matrix.shape[:1] or (v is not None and v.shape != matrix.shape[1:]):
            raise CheckpointError(
                f"{path}: '{name}_u' or '{name}_v' does not fit '{key}' of shape "
                f"{tuple(weight.shape)}; is the file complete?"
            )
        v = normalize(matrix.T @ u, dim=0, eps=1e-12) if v is None else v.double()
        sigma = float(u @ matrix @ v)
        if sigma <= 0:
            raise CheckpointError(
                f"{path}: the spectral norm of '{key}' is {sigma:.3g}, not positive; the training "
                "that wrote it failed"
            )
        plain.pop(name, None)  # the copy that torch keeps of the last forward pass
        plain[name] = (weight.double() / sigma).float()
        vectors[name] = (u.float(), v.float())
    return plain, vectors


def unfold_spectral(state: State, vectors: Vectors) -> State:
    """The public parametrisation of folded weights: their spectral norm along the kept vectors is 1."""
    result = dict(state)
    for name, (u, v) in vectors.items():
        result[f"{name}_orig"] = result.pop(name)
        result[f"{name}_u"], result[f"{name}_v"] = u, v
    return result
