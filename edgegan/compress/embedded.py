"""The embedded teacher: a small ResNet generator trained on the embedded drawings, with its discriminator."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

from edgegan.console import progress
from edgegan.data.images import read_image, to_float
from edgegan.files import atomic_folder
from edgegan.models.blocks import initialise
from edgegan.models.discriminator import PatchDiscriminator, PatchSpec
from edgegan.models.packaging import GOLDEN_COUNT, card
from edgegan.models.resnet.network import ResnetGenerator, ResnetSpec
from edgegan.models.zoo import count_parameters, make_golden
from edgegan.package import CONFIG_FILE, write_package
from edgegan.training.losses import gradient_l1, lsgan_discriminator, lsgan_generator

GAN_WEIGHT = 0.01


def train_teacher(
    folder: Path,
    inputs: list[Path],
    targets: list[Path],
    *,
    ngf: int,
    blocks: int,
    steps: int,
    batch: int,
    seed: int,
) -> None:
    """Trains a paired generator (pix2pix: L1 and a conditional PatchGAN) and writes its package.

    `inputs` and `targets` are pictures of one size, pair by pair. The learning rate falls linearly to zero.
    """
    torch.manual_seed(seed)
    x = torch.from_numpy(np.stack([to_float(read_image(path)) for path in inputs]))
    y = torch.from_numpy(np.stack([to_float(read_image(path)) for path in targets]))
    spec = ResnetSpec.from_ngf(ngf, blocks, norm="instance_affine")
    judge_spec = PatchSpec(in_channels=6, ndf=16, layers=2, conditional=True)
    generator, judge = ResnetGenerator(spec), PatchDiscriminator(judge_spec)
    initialise(generator)
    optimizer = torch.optim.Adam(generator.parameters(), 2e-3, betas=(0.9, 0.99))
    judge_optimizer = torch.optim.Adam(judge.parameters(), 1e-3, betas=(0.5, 0.999))
    order = torch.Generator().manual_seed(seed)
    started = time.monotonic()
    with progress("embedded teacher", steps) as bar:
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = 2e-3 * min(1.0, (step + 1) / 20) * (1 - step / steps)
            chosen = torch.randint(len(x), (batch,), generator=order)
            drawing, picture = x[chosen], y[chosen]
            made = generator(drawing)
            judge.requires_grad_(False)
            adversarial = lsgan_generator(judge(torch.cat([drawing, made], 1)))
            loss = (
                (made - picture).abs().mean()
                + gradient_l1(made, picture)
                + GAN_WEIGHT * adversarial
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            judge.requires_grad_(True)
            verdict = lsgan_discriminator(
                judge(torch.cat([drawing, picture], 1)),
                judge(torch.cat([drawing, made.detach()], 1)),
            )
            judge_optimizer.zero_grad(set_to_none=True)
            verdict.backward()
            judge_optimizer.step()
            bar.step(step + 1, f"loss {loss.detach():.3f}")
    generator.eval()
    seconds = round(time.monotonic() - started)
    with atomic_folder(folder, CONFIG_FILE, overwrite=True) as temporary:
        parameters = count_parameters(generator)
        config = {
            "family": "resnet",
            "spec": spec.model_dump(mode="json"),
            "name": "drawings",
            "size": tuple(x.shape[2:]),
            "parameters": parameters,
            "source": {"task": "embedded drawings", "steps": steps, "seconds": seconds},
            "licence": "Apache-2.0",
            "discriminator": judge_spec.model_dump(mode="json"),
        }
        note = f"trained on {len(x)} embedded drawings, {steps} steps"
        write_package(
            temporary,
            config,
            generator.state_dict(),
            make_golden(generator, x[:GOLDEN_COUNT]),
            card("drawings", "resnet", parameters, "Apache-2.0", [note]),
            judge.state_dict(),
        )
