"""How far apart two sets of pictures are, from the features a network sees in them: Frechet distance and KID."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgegan.errors import InputError
from edgegan.metrics.protocol import spread_interval

Features = NDArray[np.float64]
Moments = tuple[NDArray[np.float64], NDArray[np.float64]]
KID_SUBSET = 1000
KID_SUBSETS = 100


def frechet_distance(a: Features, b: Features, *, epsilon: float = 0.0) -> float:
    """Frechet distance of the Gaussians fitted to two sets of features, (N, D) and (M, D) (Heusel et al. 2017).

    |mean difference|^2 + trace(A + B - 2 sqrt(AB)), with covariances divided by N - 1; `epsilon` is added to both
    diagonals under the root, as implementations do that would otherwise meet a singular product.
    """
    check_features(a, b)
    a, b, outside = to_common_space(a.astype(np.float64), b.astype(np.float64))
    return gaussian_distance(a, b, epsilon, outside)


def frechet_interval(
    a: Features, b: Features, *, epsilon: float = 0.0, repeats: int = 100, seed: int = 0
) -> tuple[float, float] | None:
    """The distance plus and minus 1.96 bootstrap standard errors over pictures."""
    check_features(a, b)
    a, b, outside = to_common_space(a.astype(np.float64), b.astype(np.float64))
    value = gaussian_distance(a, b, epsilon, outside)
    return spread_interval(
        value,
        lambda first, second: gaussian_distance(a[first], b[second], epsilon, outside),
        (len(a), len(b)),
        repeats,
        seed,
    )


def to_common_space(a: Features, b: Features) -> tuple[Features, Features, int]:
    """Rotates features into the space they span together, and says how many dimensions lie outside it.

    With few pictures that space is much smaller than D; distances and covariances within it are exactly the same, and
    resampled pictures stay inside it.
    """
    dimensions = a.shape[1]
    if len(a) + len(b) >= dimensions:
        return a, b, 0
    basis = np.linalg.qr(np.concatenate([a, b]).T)[0]
    return a @ basis, b @ basis, dimensions - basis.shape[1]


def gaussian_distance(a: Features, b: Features, epsilon: float, outside: int) -> float:
    """The distance in the common space; `outside` dimensions have no variance but `epsilon`."""
    return moments_distance(moments(a), moments(b), epsilon, outside)


def moments(features: Features) -> Moments:
    """Mean (D,) and covariance (D, D), divided by N - 1, of features (N, D)."""
    return features.mean(0), np.atleast_2d(np.cov(features, rowvar=False))


def moments_distance(a: Moments, b: Moments, epsilon: float = 0.0, outside: int = 0) -> float:
    """The distance of two Gaussians, each a mean (D,) and a covariance (D, D)."""
    (mean_a, covariance_a), (mean_b, covariance_b) = a, b
    diagonal = epsilon * np.eye(len(mean_a))
    values, vectors = np.linalg.eigh(covariance_a + diagonal)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    # AB and sqrt(A) B sqrt(A) have the same eigenvalues, and the second is symmetric.
    product = np.linalg.eigvalsh(root @ (covariance_b + diagonal) @ root)
    trace_of_root = float(np.sqrt(np.maximum(product, 0)).sum()) + epsilon * outside
    means = float(((mean_a - mean_b) ** 2).sum())
    return means + float(np.trace(covariance_a) + np.trace(covariance_b)) - 2 * trace_of_root


def polynomial_kernel(a: Features, b: Features) -> Features:
    """(x.y / D + 1)^3 of every pair (Binkowski et al. 2018)."""
    base = a @ b.T / a.shape[1] + 1
    return base * base * base


def kid(a: Features, b: Features, *, seed: int = 0) -> float:
    """Kernel inception distance: the unbiased squared MMD with the cubic kernel (Binkowski et al. 2018).

    Sets of up to 1000 pictures are used whole; of larger ones, the mean over 100 random subsets of 1000 is taken.
    """
    check_features(a, b)
    size = min(len(a), len(b), KID_SUBSET)
    if max(len(a), len(b)) <= KID_SUBSET:
        return unbiased_mmd(
            polynomial_kernel(a, a), polynomial_kernel(b, b), polynomial_kernel(a, b)
        )
    chance = np.random.default_rng(seed)
    values = []
    for _ in range(KID_SUBSETS):
        first = a[chance.choice(len(a), size, replace=False)]
        second = b[chance.choice(len(b), size, replace=False)]
        kernels = [polynomial_kernel(*pair) for pair in ((first, first), (second, second))]
        values.append(unbiased_mmd(kernels[0], kernels[1], polynomial_kernel(first, second)))
    return float(np.mean(values))


def unbiased_mmd(aa: Features, bb: Features, ab: Features) -> float:
    """Squared MMD from kernel matrices, without the pairs of a picture with itself."""
    n, m = len(aa), len(bb)
    within_a = (aa.sum() - np.trace(aa)) / (n * (n - 1))
    within_b = (bb.sum() - np.trace(bb)) / (m * (m - 1))
    return float(within_a + within_b - 2 * ab.mean())


def kid_interval(
    a: Features, b: Features, value: float, *, repeats: int = 100, seed: int = 0
) -> tuple[float, float] | None:
    """`value`, the KID, plus and minus 1.96 bootstrap standard errors over pictures (of 1000 at most a set)."""
    a, b = a[:KID_SUBSET], b[:KID_SUBSET]
    aa, bb, ab = polynomial_kernel(a, a), polynomial_kernel(b, b), polynomial_kernel(a, b)

    def resampled(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
        # A picture drawn twice must not meet itself, so weights stand for repeated pictures.
        count_a = np.bincount(first, minlength=len(a)).astype(np.float64)
        count_b = np.bincount(second, minlength=len(b)).astype(np.float64)
        within = []
        for kernel, count in ((aa, count_a), (bb, count_b)):
            pairs = np.outer(count, count)
            np.fill_diagonal(pairs, 0)
            within.append(float((kernel * pairs).sum() / pairs.sum()))
        across = float(count_a @ ab @ count_b) / (len(first) * len(second))
        return within[0] + within[1] - 2 * across

    return spread_interval(value, resampled, (len(a), len(b)), repeats, seed)


def check_features(a: Features, b: Features) -> None:
    """Raises InputError unless both are at least two rows of finite numbers of one length."""
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise InputError(
            f"features of shapes {a.shape} and {b.shape} cannot be compared; use one extractor for both sets"
        )
    if min(len(a), len(b)) < 2:
        raise InputError(
            f"a distance between sets of pictures needs two of each at least, not {len(a)} and {len(b)}"
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("features hold NaN or infinity; check the pictures and the extractor")
