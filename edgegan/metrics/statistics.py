"""Statistics of a set of pictures kept in place of it: mean and covariance of the features a network sees in them.

The .npz files that pytorch-fid, clean-fid and the authors of GAN Compression (`real_stat/*.npz`) keep: `mu` (D,) and
`sigma` (D, D). They do not say which network, which pictures or how many.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgegan.data.arrays import read_npz
from edgegan.errors import ConfigError, InputError
from edgegan.files import sha256_file
from edgegan.metrics.frechet import Features, Moments, check_features, moments_distance
from edgegan.metrics.protocol import spread_interval

ASYMMETRY = 1e-4  # of the largest entry: files may be in single precision
MEANING = "it has to hold 'mu' (D,) and 'sigma' (D, D), as pytorch-fid's --save-stats writes"


@dataclass(frozen=True)
class Statistics:
    """Mean (D,) and covariance (D, D) of features, with the file's name and hash for the protocol."""

    name: str
    sha256: str
    moments: Moments

    def distance(self, features: Features) -> float:
        """Frechet distance of features (N, D) to these (Heusel et al. 2017); raises InputError for another D.

        With fewer pictures than dimensions all is done in the space that they span, which is exact.
        """
        self.check(features)
        mean, covariance = self.moments
        ours = features.mean(0)
        centred = (features - ours) / np.sqrt(len(features) - 1)
        if len(features) >= features.shape[1]:
            return moments_distance((ours, centred.T @ centred), self.moments)
        basis, triangle = np.linalg.qr(centred.T)
        inside = (np.zeros(len(triangle)), basis.T @ covariance @ basis)
        spanned = (np.zeros(len(triangle)), triangle @ triangle.T)
        beside = float(np.trace(covariance) - np.trace(inside[1]))
        return moments_distance(spanned, inside) + beside + float(((ours - mean) ** 2).sum())

    def interval(
        self, features: Features, value: float, *, repeats: int = 100, seed: int = 0
    ) -> tuple[float, float] | None:
        """`value` plus and minus 1.96 bootstrap standard errors over the judged pictures; these statistics stay."""
        counts = (len(features), len(features))
        return spread_interval(
            value, lambda chosen, _: self.distance(features[chosen]), counts, repeats, seed
        )

    def check(self, features: Features) -> None:
        """Raises InputError unless features are at least two finite rows of the statistics' length."""
        check_features(features, features)
        dimensions = len(self.moments[0])
        if features.shape[1] != dimensions:
            raise InputError(
                f"{self.name} holds statistics of {dimensions} dimensions, the network gives {features.shape[1]}; "
                "use the layer and network that they were made with (--features, --feature-weights)"
            )


def is_statistics(path: Path) -> bool:
    """Whether a path names statistics and not a folder of pictures."""
    return path.suffix.lower() == ".npz" and not path.is_dir()


def read_statistics(path: Path) -> Statistics:
    """Statistics from an .npz file; raises InputError naming it when it is missing, damaged, or its arrays are not a
    mean and a covariance."""
    if not path.is_file():
        raise InputError(f"reference statistics {path} do not exist")
    mean, covariance = (read_npz(path, name, only=True) for name in ("mu", "sigma"))
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)) or not len(mean):
        raise InputError(
            f"{path}: mu has shape {mean.shape} and sigma {covariance.shape}; {MEANING}"
        )
    moments = mean.astype(np.float64), covariance.astype(np.float64)
    if not all(np.isfinite(each).all() for each in moments):
        raise InputError(f"{path} holds NaN or infinity; {MEANING}")
    largest = float(np.abs(moments[1]).max())
    if float(np.abs(moments[1] - moments[1].T).max()) > ASYMMETRY * largest:
        raise InputError(f"{path}: sigma is not symmetric, so it is no covariance; {MEANING}")
    if float(np.diag(moments[1]).min()) < 0:
        raise InputError(f"{path}: sigma has negative variances, so it is no covariance; {MEANING}")
    return Statistics(str(path), sha256_file(path), moments)


def no_kid(path: Path) -> ConfigError:
    """The error of a KID to statistics."""
    return ConfigError(
        f"KID compares pictures one by one, and {path} holds their mean and covariance alone; "
        "give a folder of pictures, or use the Frechet distance"
    )
