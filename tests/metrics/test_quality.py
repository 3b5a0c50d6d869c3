"""PSNR and SSIM against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from edgegan.errors import InputError
from edgegan.metrics.quality import ms_ssim, picture_psnr, psnr, ssim


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


def test_ms_ssim_against_another_way_of_computing_it() -> None:
    """scipy's full 2-D convolutions and numpy's averages, scale by scale."""
    from scipy.signal import fftconvolve

    chance = np.random.default_rng(0)
    clean = chance.random((190, 179))
    noisy = np.clip(clean + chance.normal(0, 0.05, clean.shape), 0, 1)
    line = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    weights = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]
    expected, a, b = 1.0, clean, noisy
    for index, weight in enumerate(weights):
        blur = [fftconvolve(x, window, "valid") for x in (a, b, a * a, b * b, a * b)]
        contrast = (2 * (blur[4] - blur[0] * blur[1]) + 9e-4) / (
            blur[2] - blur[0] ** 2 + blur[3] - blur[1] ** 2 + 9e-4
        )
        luminance = (2 * blur[0] * blur[1] + 1e-4) / (blur[0] ** 2 + blur[1] ** 2 + 1e-4)
        term = contrast * luminance if index == 4 else contrast
        expected *= term.mean() ** weight
        height, width = a.shape[0] // 2 * 2, a.shape[1] // 2 * 2
        a, b = (
            x[:height, :width].reshape(height // 2, 2, width // 2, 2).mean((1, 3)) for x in (a, b)
        )
    first, second = (torch.from_numpy(x)[None, None] * 2 - 1 for x in (clean, noisy))
    assert ms_ssim(first, second) == pytest.approx(expected, abs=1e-9)
    assert ms_ssim(first, first) == pytest.approx(1)
    with pytest.raises(InputError, match="at least 176 pixels"):
        ms_ssim(first[..., :175], second[..., :175])


def test_large_pictures_are_judged_band_by_band(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same figures, with a few rows in float64 at a time."""
    chance = torch.Generator().manual_seed(0)
    a = torch.rand(1, 3, 180, 190, generator=chance) * 2 - 1
    b = (a + 0.1 * torch.randn(a.shape, generator=chance)).clamp(-1, 1)
    whole = ssim(a, b), ms_ssim(a, b), psnr(a.numpy(), b.numpy())
    monkeypatch.setattr("edgegan.metrics.quality.BAND_PIXELS", 190 * 8)
    banded = ssim(a, b), ms_ssim(a, b), picture_psnr(a[0].numpy(), b[0].numpy())
    assert banded == pytest.approx(whole, rel=1e-12)
