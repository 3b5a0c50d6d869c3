"""Lab colour inside a generator that was trained from lightness to a and b, so that it takes and makes RGB pictures.

sRGB (IEC 61966-2-1) to CIE L*a*b* with the white point D65 and back, each pixel by itself; lightness as L / 50 - 1, a
and b divided by 110, as pix2pix's colourisation has them. Colours outside of sRGB are cut.
"""

from __future__ import annotations

from typing import Final, Literal

import torch

Colour = Literal["rgb", "lab"]

LUMINANCE: Final = (0.212671, 0.715160, 0.072169)
WHITE: Final = (0.95047, 1.0, 1.08883)  # X, Y, Z of D65, 2 degrees
TO_RGB: Final = (
    (3.24048134, -1.53715152, -0.49853633),
    (-0.96925495, 1.87599, 0.04155593),
    (0.05564664, -0.20404134, 1.05731107),
)
CURVE, LINEAR, GAMMA = 0.0031308, 12.92, 2.4
BEND = 0.008856  # of Y, below which lightness is a line
HALF_L, MOST_AB = 50.0, 110.0


def inner_channels(colour: Colour, outside: tuple[int, int]) -> tuple[int, int]:
    """Channels that a generator's layers take and make, where pictures in and out have `outside`."""
    return (1, 2) if colour == "lab" else outside


def lightness(rgb: torch.Tensor) -> torch.Tensor:
    """RGB in [-1, 1] (N, 3, H, W) -> L / 50 - 1 (N, 1, H, W)."""
    values = (rgb.clamp(-1, 1) + 1) / 2
    curved = ((values.clamp(min=CURVE * LINEAR) + 0.055) / 1.055) ** GAMMA
    linear = torch.where(values > CURVE * LINEAR, curved, values / LINEAR)
    weights = torch.tensor(LUMINANCE, dtype=rgb.dtype, device=rgb.device).reshape(1, 3, 1, 1)
    luminance = (linear * weights).sum(1, keepdim=True)
    root = luminance.clamp(min=BEND) ** (1 / 3)
    curve = torch.where(luminance > BEND, root, 7.787 * luminance + 16 / 116)
    return (116 * curve - 16) / HALF_L - 1


def to_rgb(light: torch.Tensor, ab: torch.Tensor) -> torch.Tensor:
    """L / 50 - 1 (N, 1, H, W) and a, b / 110 (N, 2, H, W) -> RGB in [-1, 1] (N, 3, H, W)."""
    a, b = ab[:, :1] * MOST_AB, ab[:, 1:] * MOST_AB
    y = ((light + 1) * HALF_L + 16) / 116
    x, z = y + a / 500, (y - b / 200).clamp(min=0)
    row = [uncurved(each) * white for each, white in zip((x, y, z), WHITE, strict=True)]
    rgb = [sum(each * weight for each, weight in zip(row, line, strict=True)) for line in TO_RGB]
    linear = torch.cat(rgb, dim=1).clamp(0, 1)  # type: ignore[arg-type]
    curved = 1.055 * linear.clamp(min=CURVE) ** (1 / GAMMA) - 0.055
    return torch.where(linear > CURVE, curved, linear * LINEAR) * 2 - 1


def uncurved(value: torch.Tensor) -> torch.Tensor:
    """The inverse of lightness' curve."""
    return torch.where(value > 0.2068966, value * value * value, (value - 16 / 116) / 7.787)
