"""Picture against picture: PSNR, SSIM and multi-scale SSIM on values in [-1, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from edgegan.errors import InputError

PEAK_SQUARED = 4.0  # range [-1, 1]: peak to peak 2
WINDOW = 11
SIGMA = 1.5
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, section 3.2
BAND_PIXELS = 2**17  # of a picture in float64 at once; smaller ones are taken whole
Convert = Callable[[torch.Tensor], torch.Tensor]
MS_SSIM_SIDE = WINDOW * 2 ** (len(SCALE_WEIGHTS) - 1)


def psnr(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Peak signal-to-noise ratio in dB of two arrays of one shape with values in [-1, 1]; infinite when equal."""
    error = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return math.inf if error == 0 else 10 * math.log10(PEAK_SQUARED / error)


def picture_psnr(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """`psnr` of two large pictures (C, H, W), a band of rows after the other."""
    rows = max(1, BAND_PIXELS // a.shape[2])
    total = 0.0
    for top in range(0, a.shape[1], rows):
        first, second = (x[:, top : top + rows].astype(np.float64) for x in (a, b))
        total += float(np.sum((first - second) ** 2))
    return math.inf if total == 0 else 10 * math.log10(PEAK_SQUARED * a.size / total)


def to_unit(x: torch.Tensor) -> torch.Tensor:
    """[-1, 1] -> [0, 1] in float64."""
    return (x.double() + 1) / 2


def ssim(a: torch.Tensor, b: torch.Tensor) -> float:
    """Mean structural similarity (Wang et al. 2004: 11x11 Gaussian window, sigma 1.5, K 0.01 and 0.03), no padding.

    `a` and `b` are (N, C, H, W) in [-1, 1] with H and W at least 11.
    """
    similarity, _ = similarity_and_contrast(a, b, to_unit)
    return float(similarity.mean())


def ms_ssim(a: torch.Tensor, b: torch.Tensor) -> float:
    """Multi-scale structural similarity (Wang et al. 2003): five scales, each halved by averaging 2x2 pixels.

    `a` and `b` are (N, C, H, W) in [-1, 1]; raises InputError when a side is below 176 pixels. A negative contrast term
    counts as 0.
    """
    if min(a.shape[2:]) < MS_SSIM_SIDE:
        raise InputError(
            f"multi-scale SSIM needs sides of at least {MS_SSIM_SIDE} pixels, not {a.shape[2]}x{a.shape[3]}; "
            "use larger pictures or SSIM"
        )
    product = torch.ones(a.shape[:2], dtype=torch.float64, device=a.device)
    convert = to_unit
    for index, weight in enumerate(SCALE_WEIGHTS):
        if index:
            a, b = halved(a, convert), halved(b, convert)
            convert = unchanged
        similarity, contrast = similarity_and_contrast(a, b, convert)
        last = index == len(SCALE_WEIGHTS) - 1
        product = product * (similarity if last else contrast).clamp(min=0) ** weight
    return float(product.mean())


def unchanged(x: torch.Tensor) -> torch.Tensor:
    """Itself."""
    return x


def halved(x: torch.Tensor, convert: Convert) -> torch.Tensor:
    """Half of each side by averaging 2x2 pixels, converted band by band."""
    rows = max(2, BAND_PIXELS // x.shape[3] // 2 * 2)
    bands = [F.avg_pool2d(convert(part), 2) for part in x.split(rows, 2) if part.shape[2] > 1]
    return torch.cat(bands, 2)


def similarity_and_contrast(
    a: torch.Tensor, b: torch.Tensor, convert: Convert = unchanged
) -> tuple[torch.Tensor, torch.Tensor]:
    """SSIM, and its contrast-and-structure factor alone, each (N, C), of (N, C, H, W) that `convert` makes values in
    [0, 1] of. Of large pictures a band of rows after the other is in memory as float64."""
    height, rows = a.shape[2] - WINDOW + 1, max(1, BAND_PIXELS // a.shape[3])
    if height <= rows:
        similarity, contrast = similarity_maps(convert(a), convert(b))
        return similarity.mean((2, 3)), contrast.mean((2, 3))
    sums = torch.zeros((2, *a.shape[:2]), dtype=torch.float64, device=a.device)
    for top in range(0, height, rows):
        taken = min(rows, height - top) + WINDOW - 1
        maps = similarity_maps(*(convert(x.narrow(2, top, taken)) for x in (a, b)))
        sums += torch.stack([each.sum((2, 3)) for each in maps])
    means = sums / (height * (a.shape[3] - WINDOW + 1))
    return means[0], means[1]


def similarity_maps(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """SSIM at every place of (N, C, H, W) in [0, 1], and its contrast-and-structure factor."""
    line = [math.exp(-((offset - WINDOW // 2) ** 2) / (2 * SIGMA**2)) for offset in range(WINDOW)]
    weights = [value / sum(line) for value in line]

    def blur(x: torch.Tensor) -> torch.Tensor:
        # Eleven shifted sums, twice: torch's float64 convolution takes many times longer.
        for axis in (2, 3):
            length = x.shape[axis] - WINDOW + 1
            shifted = [x.narrow(axis, i, length) * weight for i, weight in enumerate(weights)]
            x = torch.stack(shifted).sum(0)
        return x

    mean_a, mean_b = blur(a), blur(b)
    variance_a, variance_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    contrast = (2 * covariance + c2) / (variance_a + variance_b + c2)
    similarity = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1) * contrast
    return similarity, contrast


def untouched(x: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    """A picture (C, H, W) as it would be without a generator: as it is, or bilinearly of the size of what the generator
    makes (C', H', W'); None where the channels differ."""
    if x.shape[0] != shape[0]:
        return None
    if x.shape == shape:
        return x
    small = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))[None]
    made = F.interpolate(
        small, size=shape[1:], mode="bilinear", align_corners=False, antialias=True
    )
    return made[0].numpy()
