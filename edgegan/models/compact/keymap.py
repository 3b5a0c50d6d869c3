"""Real-ESRGAN's compact nets: body.0.weight (a convolution), body.1.weight (its PReLU), ... body.34.weight."""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import Path

from edgegan.errors import CheckpointError
from edgegan.models.compact.network import CompactSpec
from edgegan.models.matching import Imported, adopt, give_back, shape_of
from edgegan.weights import State

EXAMPLE = "Real-ESRGAN compact (body.0.weight, body.1.weight ...)"
HEAD = ("head.weight", "head.bias")


def recognises(state: State) -> bool:
    """Whether these are its keys: nothing but body.N.weight and body.N.bias."""
    return "body.0.weight" in state and all(
        re.fullmatch(r"body\.\d+\.(weight|bias)", key) for key in state
    )


def read(state: State, path: Path) -> Imported:
    """The factor two of [-1, 1] goes into the last convolution."""
    places = sorted({int(key.split(".")[1]) for key in state if state[key].dim() == 4})
    widths = [int(shape_of(state, f"body.{place}.weight", path)[0]) for place in places]
    channels = int(shape_of(state, "body.0.weight", path)[1])
    slopes = f"body.{places[0] + 1}.weight" in state
    upscale = math.isqrt(widths[-1] // channels)
    if widths[-1] != channels * upscale**2 or places != list(range(0, 2 * len(places), 2)):
        raise CheckpointError(
            f"{path}: key 'body.{places[-1]}.weight' makes {widths[-1]} channels, no square times the {channels} of "
            "the input: this is no compact net of Real-ESRGAN; import it as a generator of your own with --generator"
        )
    changes = ["values 0..1 folded into the ends (exact): now [-1, 1]"]
    if not slopes:
        changes.append(
            "assumed: ReLU after each convolution (the weights do not tell; --activation leaky_relu)"
        )
    spec = CompactSpec(
        in_channels=channels,
        out_channels=channels,
        convs=tuple(widths[:-1]),
        upscale=upscale,
        activation="prelu" if slopes else "relu",
    )
    last = 2 * len(spec.convs)
    imported = adopt(Imported("compact", spec, state, changes), partial(to_public, last=last), path)
    imported.state.update({key: imported.state[key] * 2 for key in HEAD})
    return imported


def write(imported: Imported) -> State:
    """The public state dict, for values 0..1 again."""
    assert isinstance(imported.spec, CompactSpec)
    halved = {key: imported.state[key] / 2 for key in HEAD}
    whole = Imported("compact", imported.spec, {**imported.state, **halved}, [], imported.layout)
    return give_back(whole, partial(to_public, last=2 * len(imported.spec.convs)))


def to_public(own: str, last: int) -> str:
    """Our key -> the public key, for a net whose last convolution stands at this place."""
    part, *rest, leaf = own.split(".")
    if part == "head":
        return f"body.{last}.{leaf}"
    return f"body.{2 * int(rest[0]) + (part == 'activations')}.{leaf}"
