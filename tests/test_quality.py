"""PSNR and SSIM against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from edgegan.metrics.quality import psnr, ssim


def test_psnr_by_hand() -> None:
    a = np.zeros((3, 4, 4), np.float32)
    assert psnr(a, a) == math.inf
    assert psnr(a, a + 0.2) == pytest.approx(10 * math.log10(4 / 0.04), abs=1e-5)


def test_ssim_by_hand() -> None:
    a = torch.full((1, 1, 16, 16), -0.5)
    b = torch.full((1, 1, 16, 16), 0.5)
    c1 = 0.01**2
    assert ssim(a, a) == pytest.approx(1)
    assert ssim(a, b) == pytest.approx((2 * 0.25 * 0.75 + c1) / (0.25**2 + 0.75**2 + c1), abs=1e-6)


def test_ssim_against_a_direct_sum() -> None:
    """One 11x11 window, written out."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(1, 1, 11, 11, generator=generator, dtype=torch.float64) for _ in range(2))
    line = [math.exp(-((i - 5) ** 2) / (2 * 1.5**2)) for i in range(11)]
    total = sum(line) ** 2
    mean_a = mean_b = aa = bb = ab = 0.0
    for i in range(11):
        for j in range(11):
            w = line[i] * line[j] / total
            p, q = float(a[0, 0, i, j]), float(b[0, 0, i, j])
            mean_a, mean_b = mean_a + w * p, mean_b + w * q
            aa, bb, ab = aa + w * p * p, bb + w * q * q, ab + w * p * q
    va, vb, cov = aa - mean_a**2, bb - mean_b**2, ab - mean_a * mean_b
    expected = ((2 * mean_a * mean_b + 1e-4) * (2 * cov + 9e-4)) / (
        (mean_a**2 + mean_b**2 + 1e-4) * (va + vb + 9e-4)
    )
    assert ssim(a * 2 - 1, b * 2 - 1) == pytest.approx(expected, abs=1e-9)
