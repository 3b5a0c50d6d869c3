"""Perceptual losses as two papers' code has them, which compare neither the same layers nor in the same way."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from edgegan.metrics.perceptual import (
    VGG16_BLOCKS,
    VGG19_BLOCKS,
    Perceptual,
    PerceptualNetwork,
    perceptual_loss,
    vgg_maps,
)

VGG19_TAPS = tuple(block[0] for block in VGG19_BLOCKS)
VGG19_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
STYLE_TAPS = tuple(block[-1] for block in VGG16_BLOCKS[:4])
STYLE_WEIGHT = 1e5
CAFFE_RANGE = 255  # SqueezeNet's weights take 0..255: its features are that much larger, their Gram matrices the square


def vgg19_loss(network: PerceptualNetwork) -> Perceptual:
    """Mean absolute differences behind relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 of VGG19, weighted 1/32, 1/16,
    1/8, 1/4 and 1; pictures (N, 3, H, W) go in as they are, in [-1, 1] (SPADE, and GAN Compression's student of it)."""
    weights = network.weights

    def loss(made: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        ours = vgg_maps(weights, made, VGG19_BLOCKS, VGG19_TAPS)
        with torch.no_grad():
            theirs = vgg_maps(weights, target, VGG19_BLOCKS, VGG19_TAPS)
        pairs = zip(VGG19_WEIGHTS, ours, theirs, strict=True)
        return torch.stack([weight * F.l1_loss(a, b) for weight, a, b in pairs]).sum()

    return loss


def style_loss(network: PerceptualNetwork) -> Perceptual:
    """Mean absolute difference of the shallowest features, and 1e5 times the mean square differences of all layers'
    Gram matrices (GAN Slimming): relu1_2, relu2_2, relu3_3 and relu4_3 of VGG16, which takes pictures (N, 3, H, W) in
    [0, 1] as they are; or SqueezeNet's own layers, divided by the range that it takes, which stand in for them."""
    weights = network.weights

    def features(x: torch.Tensor) -> list[torch.Tensor]:
        if network.name != "vgg16":
            return [each / CAFFE_RANGE for each in network.features(x)]
        return vgg_maps(weights, (x + 1) / 2, VGG16_BLOCKS, STYLE_TAPS)

    def loss(made: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        ours = features(made)
        with torch.no_grad():
            theirs = features(target)
        styles = [F.mse_loss(gram(a), gram(b)) for a, b in zip(ours, theirs, strict=True)]
        return F.l1_loss(ours[0], theirs[0]) + STYLE_WEIGHT * torch.stack(styles).sum()

    return loss


def gram(features: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W) -> (N, C, C): products of channels, mean over places and divided by their number (Johnson 2016)."""
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / flat[0].numel()


def usual_loss(network: PerceptualNetwork) -> Perceptual:
    """The loss that goes with a network: SPADE's with VGG19, else the distance of features scaled to length one."""
    return vgg19_loss(network) if network.name == "vgg19" else perceptual_loss(network)
