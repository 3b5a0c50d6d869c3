"""Picture against picture: PSNR, SSIM and multi-scale SSIM on values in [-1, 1]."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from edgegan.errors import InputError

PEAK_SQUARED = 4.0  # range [-1, 1]: peak to peak 2
WINDOW = 11
SIGMA = 1.5
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, section 3.2
MS_SSIM_SIDE = WINDOW * 2 ** (len(SCALE_WEIGHTS) - 1)


def psnr(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Peak signal-to-noise ratio in dB of two arrays of one shape with values in [-1, 1]; infinite when equal."""
    error = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return math.inf if error == 0 else 10 * math.log10(PEAK_SQUARED / error)


def ssim(a: torch.Tensor, b: torch.Tensor) -> float:
    """Mean structural similarity (Wang et al. 2004: 11x11 Gaussian window, sigma 1.5, K 0.01 and 0.03), no padding.

    `a` and `b` are (N, C, H, W) in [-1, 1] with H and W at least 11.
    """
    similarity, _ = similarity_and_contrast((a.double() + 1) / 2, (b.double() + 1) / 2)
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
    a, b = (a.double() + 1) / 2, (b.double() + 1) / 2
    product = torch.ones(a.shape[:2], dtype=torch.float64, device=a.device)
    for index, weight in enumerate(SCALE_WEIGHTS):
        if index:
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
        similarity, contrast = similarity_and_contrast(a, b)
        last = index == len(SCALE_WEIGHTS) - 1
        product = product * (similarity if last else contrast).clamp(min=0) ** weight
    return float(product.mean())


def similarity_and_contrast(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """SSIM, and its contrast-and-structure factor alone, each (N, C), of (N, C, H, W) in [0, 1]."""
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
    return similarity.mean((2, 3)), contrast.mean((2, 3))
