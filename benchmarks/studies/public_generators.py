"""Architectures of packages that others publish, small and with seeded random weights: `PUBLIC_GENERATORS` names the
folder that the packages are installed in."""

from __future__ import annotations

import importlib
import os
import sys
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

FOLDER = "PUBLIC_GENERATORS"
MAIN, EXTRA = "spandrel.architectures.", "spandrel_extra_arches.architectures."
MAPS, TV = "segmentation_models_pytorch", "torchvision.models.segmentation"
SHIFTED: dict[str, Any] = {"embed_dim": 24, "depths": (2,), "num_heads": (2,), "window_size": 8}
LARGER: dict[str, Any] = {"upscale": 2, "upsampler": "pixelshuffle"}
NAF: dict[str, Any] = {"enc_blk_nums": [1, 1], "dec_blk_nums": [1, 1], "middle_blk_num": 1}
SPLIT: dict[str, Any] = {
    "embed_dim": 64,  # an eighth of half of it is a width
    "depth": [2],
    "num_heads": [2],
    "img_size": 64,
    "upscale": 2,
}
UNTRAINED: dict[str, Any] = {"weights": None, "weights_backbone": None, "num_classes": 3}


class Public(NamedTuple):
    """Where an architecture is, how small it is made, (C, H, W) that it takes, and which of several outputs is meant.

    `masked` ones take a picture and a mask, here as four channels.
    """

    place: str
    options: dict[str, Any]
    shape: tuple[int, int, int] = (3, 64, 64)
    output: int | str | None = None
    masked: bool = False


PUBLIC: dict[str, Public] = {
    "RRDBNet_x4": Public(f"{MAIN}ESRGAN:ESRGAN", {"num_filters": 16, "num_blocks": 2, "scale": 4}),
    "RRDBNet_x1": Public(f"{MAIN}ESRGAN:ESRGAN", {"num_filters": 16, "num_blocks": 2, "scale": 1}),
    "RRDBNet_unshuffle": Public(
        f"{MAIN}ESRGAN:ESRGAN",
        {"in_nc": 12, "num_filters": 16, "num_blocks": 1, "scale": 4, "shuffle_factor": 2},
    ),
    "Compact_x4": Public(f"{MAIN}Compact:Compact", {"num_feat": 16, "num_conv": 4, "upscale": 4}),
    "Compact_x1": Public(f"{MAIN}Compact:Compact", {"num_feat": 16, "num_conv": 4, "upscale": 1}),
    "SwiftSRGAN": Public(
        f"{MAIN}SwiftSRGAN:SwiftSRGAN", {"num_channels": 16, "num_blocks": 3, "upscale_factor": 4}
    ),
    "HAT": Public(
        f"{MAIN}HAT:HAT", {**SHIFTED, **LARGER, "compress_ratio": 3, "squeeze_factor": 4}
    ),
    "GRL": Public(
        f"{MAIN}GRL:GRL",
        {
            "embed_dim": 32,
            "depths": [2],
            "num_heads_window": [2],
            "num_heads_stripe": [2],
            "upscale": 2,
        },
    ),
    "Swin2SR": Public(f"{MAIN}Swin2SR:Swin2SR", {**SHIFTED, **LARGER}),
    "SwinIR_x2": Public(f"{MAIN}SwinIR:SwinIR", {**SHIFTED, **LARGER}),
    "SwinIR_x1": Public(f"{MAIN}SwinIR:SwinIR", {**SHIFTED, "upscale": 1, "upsampler": ""}),
    "GFPGAN": Public(
        f"{MAIN}GFPGAN:GFPGAN",
        {
            "out_size": 64,
            "num_style_feat": 32,
            "channel_multiplier": 1,
            "narrow": 0.25,
            "input_is_latent": True,
            "different_w": True,
            "sft_half": True,
        },
        output=0,
    ),
    "RestoreFormer": Public(
        f"{MAIN}RestoreFormer:RestoreFormer",
        {
            "ch": 32,
            "resolution": 64,
            "z_channels": 32,
            "embed_dim": 32,
            "n_embed": 32,
            "head_size": 4,
            "attn_resolutions": (16,),
            "ch_mult": (1, 2, 2),
        },
        output=0,
    ),
    "LaMa": Public(f"{MAIN}LaMa:LaMa", {"in_nc": 4}, (4, 64, 64), masked=True),
    "OmniSR": Public(f"{MAIN}OmniSR:OmniSR", {"num_feat": 16, "res_num": 1, "up_scale": 4}),
    "SCUNet": Public(
        f"{MAIN}SCUNet:SCUNet", {"config": [1] * 7, "dim": 64, "input_resolution": 64}
    ),
    "FBCNN": Public(f"{MAIN}FBCNN:FBCNN", {"nc": [8, 16, 16, 512], "nb": 1}, output=0),
    "Uformer": Public(
        f"{MAIN}Uformer:Uformer",
        {"img_size": 128, "embed_dim": 8, "depths": [1] * 9, "win_size": 8, "token_mlp": "leff"},
        (3, 128, 128),
    ),
    "RGT": Public(f"{MAIN}RGT:RGT", {**SPLIT, "split_size": [8, 16]}),
    "DAT": Public(f"{MAIN}DAT:DAT", {**SPLIT, "split_size": [2, 4]}),
    "CRAFT": Public(
        f"{MAIN}CRAFT:CRAFT",
        {
            "embed_dim": 64,
            "depths": (2,),
            "num_heads": (2,),
            "upscale": 4,
            "split_size_0": 4,
            "split_size_1": 16,
        },
    ),
    "KBNet_s": Public(f"{MAIN}KBNet:KBNet_s", {"width": 8, **NAF}),
    "KBNet_l": Public(
        f"{MAIN}KBNet:KBNet_l", {"dim": 48, "num_blocks": [1] * 4, "num_refinement_blocks": 1}
    ),
    "DITN": Public(
        f"{MAIN}DITN:DITN",
        {
            "dim": 24,
            "ITL_blocks": 1,
            "SAL_blocks": 1,
            "UFONE_blocks": 1,
            "upscale": 2,
            "patch_size": 8,
        },
    ),
    "MMRealSR": Public(
        f"{MAIN}MMRealSR:MMRealSR",
        {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 16, "num_block": 1, "num_grow_ch": 8},
        output=0,
    ),
    "SPAN": Public(
        f"{MAIN}SPAN:SPAN", {"num_in_ch": 3, "num_out_ch": 3, "feature_channels": 16, "upscale": 4}
    ),
    "RealCUGAN": Public(f"{MAIN}RealCUGAN:UpCunet2x", {}),
    "SAFMN": Public(f"{MAIN}SAFMN:SAFMN", {"dim": 16, "n_blocks": 2, "upscaling_factor": 4}),
    "SAFMN_BCIE": Public(
        f"{MAIN}SAFMNBCIE:SAFMNBCIE",
        {"dim": 16, "n_blocks": 2, "num_layers": 1, "upscaling_factor": 2},
    ),
    "DCTLSA": Public(
        f"{MAIN}DCTLSA:DCTLSA", {"in_nc": 3, "nf": 20, "num_modules": 6, "upscale": 4}
    ),
    "FFTformer": Public(
        f"{MAIN}FFTformer:FFTformer",
        {"dim": 16, "num_blocks": [1, 1, 1], "num_refinement_blocks": 1},
    ),
    "NAFNet": Public(f"{MAIN}NAFNet:NAFNet", {"width": 16, **NAF}),
    "ATD": Public(
        f"{MAIN}ATD:ATD",
        {**SHIFTED, **LARGER, "category_size": 64, "num_tokens": 16, "reducted_dim": 4},
    ),
    "MixDehazeNet": Public(
        f"{MAIN}MixDehazeNet:MixDehazeNet", {"embed_dims": [8, 16, 32, 16, 8], "depths": [1] * 5}
    ),
    "DRUNet": Public(
        f"{MAIN}DRUNet:DRUNet",
        {"in_nc": 4, "out_nc": 3, "nc": [8, 16, 16, 16], "nb": 1},
        (4, 64, 64),
    ),
    "DnCNN": Public(
        f"{MAIN}DnCNN:DnCNN", {"in_nc": 1, "out_nc": 1, "nc": 16, "nb": 5}, (1, 64, 64)
    ),
    "IPT": Public(f"{MAIN}IPT:IPT", {}, (3, 48, 48)),
    "DRCT": Public(
        f"{MAIN}DRCT:DRCT",
        {**LARGER, "embed_dim": 32, "depths": [6], "num_heads": [2], "window_size": 8, "gc": 16},
    ),
    "PLKSR": Public(f"{MAIN}PLKSR:PLKSR", {"dim": 16, "n_blocks": 2, "kernel_size": 9}),
    "RealPLKSR": Public(f"{MAIN}PLKSR:RealPLKSR", {"dim": 16, "n_blocks": 2, "kernel_size": 9}),
    "RetinexFormer": Public(
        f"{MAIN}RetinexFormer:RetinexFormer", {"n_feat": 16, "num_blocks": [1, 1, 1]}
    ),
    "HVI_CIDNet": Public(f"{MAIN}HVICIDNet:HVICIDNet", {"channels": [12, 12, 24, 48]}),
    "SeemoRe": Public(f"{MAIN}SeemoRe:SeemoRe", {"scale": 2, "embedding_dim": 16, "num_layers": 1}),
    "MoSR": Public(f"{MAIN}MoSR:MoSR", {"dim": 16, "n_block": 2}),
    "MoESR": Public(f"{MAIN}MoESR:MoESR", {"dim": 16, "n_block": 1, "n_blocks": 2}),
    "RCAN": Public(
        f"{MAIN}RCAN:RCAN",
        {"n_feats": 16, "n_resgroups": 1, "n_resblocks": 2, "reduction": 4, "scale": 4},
    ),
    "FDAT": Public(f"{MAIN}FDAT:FDAT", {}),
    "SRFormer": Public(f"{EXTRA}SRFormer:SRFormer", {**SHIFTED, **LARGER, "window_size": 16}),
    "CodeFormer": Public(f"{EXTRA}CodeFormer:CodeFormer", {}, (3, 512, 512), output=0),
    "MAT": Public(f"{EXTRA}MAT:MAT", {}, (4, 512, 512), masked=True),
    "DDColor": Public(f"{EXTRA}DDColor:DDColor", {}, (3, 256, 256)),
    "AdaCode": Public(f"{EXTRA}AdaCode:AdaCode", {}),
    "FeMaSR": Public(f"{EXTRA}FeMaSR:FeMaSR", {}),
    "M3SNet": Public(f"{EXTRA}M3SNet:M3SNet", {"width": 8, **NAF}),
    "Restormer": Public(
        f"{EXTRA}Restormer:Restormer",
        {"dim": 16, "num_blocks": [1] * 4, "num_refinement_blocks": 1},
    ),
    "MPRNet": Public(
        f"{EXTRA}MPRNet:MPRNet",
        {"n_feat": 16, "scale_unetfeats": 8, "scale_orsnetfeats": 8, "num_cab": 1},
        output=0,
    ),
    "MIRNet_v2": Public(f"{EXTRA}MIRNet2:MIRNet2", {"n_feat": 16}),
    "LRASPP": Public(f"{TV}:lraspp_mobilenet_v3_large", UNTRAINED, (3, 128, 128), "out"),
    "DeepLabV3": Public(f"{TV}:deeplabv3_mobilenet_v3_large", UNTRAINED, (3, 128, 128), "out"),
    "FCN": Public(f"{TV}:fcn_resnet50", UNTRAINED, (3, 128, 128), "out"),
    **{
        f"smp_{kind}": Public(
            f"{MAPS}:{kind}",
            {"encoder_name": "resnet18", "encoder_weights": None, "classes": 3},
            (3, 128, 128),
        )
        for kind in (
            *("Unet", "UnetPlusPlus", "Linknet", "FPN", "PSPNet", "DeepLabV3", "DeepLabV3Plus"),
            *("PAN", "MAnet", "UPerNet", "Segformer"),
        )
    },
    "smp_Unet_mobile": Public(
        f"{MAPS}:Unet",
        {"encoder_name": "mobilenet_v2", "encoder_weights": None, "classes": 3},
        (3, 128, 128),
    ),
}


class Chosen(nn.Module):
    """A network that takes four channels as a picture and a mask, or of whose outputs one is meant."""

    def __init__(self, net: nn.Module, output: int | str | None, masked: bool) -> None:
        super().__init__()
        self.net, self.output, self.masked = net, output, masked

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> the output that is meant."""
        made = self.net(x[:, :3], x[:, 3:]) if self.masked else self.net(x)
        return made if self.output is None else made[self.output]  # type: ignore[no-any-return]


def make(name: str) -> nn.Module:
    """One of them; norms and scales are moved off their initial values, which hide errors."""
    found = PUBLIC[name]
    if folder := os.environ.get(FOLDER):
        sys.path.insert(0, folder)
        # Its compiled operators are of another build of PyTorch; the networks need none of them.
        sys.modules.setdefault(
            "torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations")
        )
    module, _, kind = found.place.partition(":")
    chance = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    net: nn.Module = getattr(importlib.import_module(module), kind)(**found.options)
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.dim() == 1 and parameter.numel() > 1:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=chance))
    plain = found.output is None and not found.masked
    return net if plain else Chosen(net, found.output, found.masked)


def __getattr__(name: str) -> Callable[[], nn.Module]:
    """Every architecture is a factory of this module, as `edgegan import --generator` wants one."""
    if name in PUBLIC:
        return lambda: make(name)
    raise AttributeError(name)
