"""PatchGAN discriminators (Isola et al. 2017): what a student inherits from its teacher."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from edgegan.config import Norm
from edgegan.models.blocks import make_norm


class PatchSpec(BaseModel):
    """A discriminator of `layers` strided 4x4 convolutions (3 = the 70x70 PatchGAN), conditional or not."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    in_channels: int = Field(
        3, ge=1, description="channels of the judged image, plus the input's when conditional"
    )
    ndf: int = Field(64, ge=1, description="channels after the first convolution")
    layers: int = Field(3, ge=1, le=6)
    norm: Norm = "instance"
    conditional: bool = Field(False, description="judge input and output together (pix2pix)")


class PatchDiscriminator(nn.Module):
    """(N, in, H, W) -> (N, 1, h, w) scores, one for each overlapping patch; layer indices are the public ones."""

    def __init__(self, spec: PatchSpec) -> None:
        super().__init__()
        width = spec.ndf
        layers: list[nn.Module] = [
            nn.Conv2d(spec.in_channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
        ]
        for index in range(1, spec.layers + 1):
            wider = spec.ndf * min(2**index, 8)
            stride = 2 if index < spec.layers else 1
            bias = spec.norm != "batch"
            layers += [
                nn.Conv2d(width, wider, 4, stride=stride, padding=1, bias=bias),
                make_norm(spec.norm, wider),
                nn.LeakyReLU(0.2),
            ]
            width = wider
        layers.append(nn.Conv2d(width, 1, 4, stride=1, padding=1))
        self.model = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self.model(x)
