"""What weights do not tell of a generator, as the user states it: the padding of blocks, the statistics of norms, the
norm inside SPADE's separable convolutions, what SPADE's last channel is, StarGAN's attributes, an output that is added
to the input."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from edgegan.errors import ConfigError
from edgegan.models.ends import parse_numbers
from edgegan.models.matching import Imported, expected_state, tracked_to_batch
from edgegan.models.stated_channels import note_channels, set_colour
from edgegan.weights import State

PADDINGS = ("reflect", "replicate", "zero")
STATISTICS = ("saved", "picture")
SEPARABLE_NORMS = ("instance", "none")
CORNERS = ("aligned", "centred")
LAST_CHANNELS = ("edge", "class")


@dataclass(frozen=True)
class Reading:
    """`padding` of residual blocks, "reflect", "replicate" or "zero"; `statistics` of norms, those "saved" in training
    or those of the "picture" itself; of SPADE `separable_norm`, "instance" or "none", and `last_channel`, the instance
    "edge" or a "class"; `label` StarGAN's attributes of what is made, numbers with commas; `residual` whether a
    ResNet's output is added to its input; `colour` "lab" where one goes from lightness to a and b. `activation`
    "clamp" for a ResNet or U-Net that ends in a cut, "leaky_relu" in a compact net without slopes; `corners` of
    bilinear doublings, "aligned" or "centred". None where the family's usual reading holds."""

    padding: str | None = None
    statistics: str | None = None
    separable_norm: str | None = None
    last_channel: str | None = None
    label: str | None = None
    residual: bool = False
    colour: str | None = None
    activation: str | None = None
    corners: str | None = None


USUAL = Reading()


def apply_reading(imported: Imported, reading: Reading, path: Path) -> Imported:
    """The checkpoint as the user says it is meant; raises ConfigError where an option does not fit the family."""
    check_choice("padding", reading.padding, PADDINGS)
    check_choice("statistics", reading.statistics, STATISTICS)
    check_choice("separable-norm", reading.separable_norm, SEPARABLE_NORMS)
    check_choice("last-channel", reading.last_channel, LAST_CHANNELS)
    if reading.separable_norm is not None:
        imported = set_separable_norm(imported, reading.separable_norm, path)
    if reading.last_channel is not None:
        imported = set_last_channel(imported, reading.last_channel, path)
    if reading.padding is not None:
        imported = set_padding(imported, reading.padding, path)
    if reading.label is not None or imported.family == "stargan":
        imported = set_label(imported, reading.label, path)
    if reading.colour is not None:
        imported = set_colour(imported, reading.colour, path)
    imported = note_channels(imported)
    if reading.activation is not None:
        imported = set_activation(imported, reading.activation, path)
    if reading.corners is not None:
        imported = set_corners(imported, reading.corners, path)
    if reading.residual:
        imported = set_residual(imported, path)
    if reading.statistics is not None and imported.spec.norm != "batch":
        raise ConfigError(
            f"--statistics {reading.statistics}: the norms of {path} ({imported.family}) have no saved statistics to "
            "choose; drop it"
        )
    if imported.spec.norm == "batch":
        if reading.statistics == "picture":
            return use_picture(imported, path)
        if imported.family not in ("resnet", "unet"):
            return imported
        note = "BatchNorm with the statistics saved in training (--statistics picture: the picture's own)"
        return replace(imported, changes=[*imported.changes, note])
    return imported


def as_stated(state: State, family: str, reading: Reading, path: Path) -> State:
    """The public state with the statistics that InstanceNorm tracked where "saved" asks for them; ConfigError for a
    family other than resnet whose norms have no scale."""
    plain = [
        key.removesuffix(".running_mean")
        for key in state
        if key.endswith(".running_mean")
        and f"{key.removesuffix('.running_mean')}.weight" not in state
    ]
    if reading.statistics != "saved" or not plain:
        return state
    if family != "resnet":
        raise ConfigError(
            f"--statistics saved: {path} is of family {family}; for InstanceNorm only resnet has it"
        )
    return tracked_to_batch(state)


def check_choice(option: str, value: str | None, allowed: tuple[str, ...]) -> None:
    """Raises ConfigError for a value that there is not."""
    if value is not None and value not in allowed:
        raise ConfigError(f"--{option} {value!r}: choose from {', '.join(allowed)}")


def set_padding(imported: Imported, padding: str, path: Path) -> Imported:
    """The spec with this padding of residual blocks; zero padding shows in the keys and cannot be changed."""
    have = getattr(imported.spec, "padding", None)
    told = imported.family == "resnet"  # zero padding has no layer of its own there
    if have is None or (told and padding != have and "zero" in (padding, have)):
        what = f"are padded with {have}" if have else "have no choice of padding"
        raise ConfigError(
            f"--padding {padding}: the blocks of {path} ({imported.family}) {what}; drop --padding"
        )
    changes = [line for line in imported.changes if "padding" not in line]
    spec = imported.spec.model_copy(update={"padding": padding})
    return replace(imported, spec=spec, changes=[*changes, f"{padding} padding as given"])


def set_label(imported: Imported, label: str | None, path: Path) -> Imported:
    """StarGAN that makes a picture of these attributes; raises ConfigError where they are not said or do not fit."""
    wanted = len(getattr(imported.spec, "label", ()))
    if imported.family != "stargan":
        raise ConfigError(f"--label: {path} is of family {imported.family}; only stargan has it")
    if label is None and not wanted:
        return imported
    if label is None:
        raise ConfigError(
            f"{path} makes a picture of {wanted} attributes, and the weights do not tell which: add --label with "
            f"{wanted} numbers in the order of its training, such as --label {','.join(['1', *'0' * (wanted - 1)])}"
        )
    numbers = parse_numbers("--label", label)
    if len(numbers) != wanted:
        raise ConfigError(
            f"--label {label}: {path} was trained with {wanted} attributes, not {len(numbers)}"
        )
    values = {**imported.spec.model_dump(), "label": numbers}
    spec = type(imported.spec).model_validate(values)
    return replace(imported, spec=spec, changes=[*imported.changes, f"attributes {label} as given"])


def set_residual(imported: Imported, path: Path) -> Imported:
    """A ResNet whose output is added to its input; raises ConfigError where it cannot be."""
    spec = imported.spec
    if imported.family != "resnet" or spec.in_channels != spec.out_channels:
        raise ConfigError(
            f"--residual: {path} is of family {imported.family} with {spec.in_channels} channels in and "
            f"{spec.out_channels} out; only resnet with as many in as out has it"
        )
    note = "its output is added to its input and cut to [-1, 1], as given"
    spec = spec.model_copy(update={"residual": True})
    return replace(imported, spec=spec, changes=[*imported.changes, note])


def set_activation(imported: Imported, activation: str, path: Path) -> Imported:
    """A ResNet or U-Net with another end, a compact net with another activation; ConfigError for any other."""
    option, spec = f"--activation {activation}", imported.spec
    fields = spec.model_dump()
    ends, inside = "ending" in fields, fields.get("activation") in ("relu", "leaky_relu")
    if not (ends and activation in ("tanh", "clamp")) and not (
        inside and activation in ("relu", "leaky_relu")
    ):
        raise ConfigError(
            f"{option}: {path} is of family {imported.family}; resnet and unet have tanh and clamp, a compact net "
            "without slopes relu and leaky_relu"
        )
    update = {"ending" if ends else "activation": activation}
    changes = [line for line in imported.changes if "--activation" not in line]
    note = f"{activation} {'at the end' if ends else 'after each convolution'} as given"
    return replace(imported, spec=spec.model_copy(update=update), changes=[*changes, note])


def set_corners(imported: Imported, corners: str, path: Path) -> Imported:
    """Bilinear doublings with corner pixels in place, or by pixel centres; ConfigError where there are none."""
    check_choice("corners", corners, CORNERS)
    if "corners" not in type(imported.spec).model_fields:
        raise ConfigError(
            f"--corners {corners}: {path} is of family {imported.family}; animegan and whitebox have bilinear doublings"
        )
    spec = imported.spec.model_copy(update={"corners": corners == "aligned"})
    changes = [line for line in imported.changes if "--corners" not in line]
    return replace(imported, spec=spec, changes=[*changes, f"corners {corners} as given"])


def set_separable_norm(imported: Imported, norm: str, path: Path) -> Imported:
    """SPADE with this norm between depthwise and pointwise; raises ConfigError where there is no choice."""
    spec, option = imported.spec, "--separable-norm"
    choice = imported.family == "spade" and spec.model_dump()["block"] == "separable"
    if not choice or spec.model_dump()["separable_norm"] == "batch":
        raise ConfigError(
            f"{option} {norm}: {path} ({imported.family}) is no mobile SPADE whose norm the weights leave open; drop it"
        )
    changes = [line for line in imported.changes if option not in line]
    note = f"norm '{norm}' between depthwise and pointwise convolutions as given"
    spec = spec.model_copy(update={"separable_norm": norm})
    return replace(imported, spec=spec, changes=[*changes, note])


def set_last_channel(imported: Imported, meaning: str, path: Path) -> Imported:
    """SPADE whose last channel is the instance edge or one more class; raises ConfigError for another family."""
    option, channels = "--last-channel", imported.spec.in_channels
    if imported.family != "spade" or (meaning == "edge" and channels < 2):
        raise ConfigError(
            f"{option} {meaning}: {path} is of family {imported.family} with {channels} channels; only spade of two or "
            "more has both; drop it"
        )
    edge = meaning == "edge"
    update = {"classes": channels - int(edge), "instance_edge": edge}
    changes = [line for line in imported.changes if option not in line]
    note = (
        f"the last of {channels} channels is {'the instance edge' if edge else 'a class'}, as given"
    )
    return replace(imported, spec=imported.spec.model_copy(update=update), changes=[*changes, note])


def use_picture(imported: Imported, path: Path) -> Imported:
    """BatchNorm of one picture in training mode is InstanceNorm with the same scale and shift."""
    if imported.family not in ("resnet", "unet"):
        raise ConfigError(
            f"--statistics picture: {path} is of family {imported.family}; resnet and unet have it"
        )
    spec = imported.spec.model_copy(update={"norm": "instance_affine"})
    expected = expected_state(spec)
    state = {}
    for key, wanted in expected.items():
        value = imported.state.get(key)
        state[key] = torch.zeros(wanted.shape) if value is None else value
    note = "BatchNorm with the statistics of each picture: InstanceNorm with its scale and shift"
    return replace(imported, spec=spec, state=state, changes=[*imported.changes, note])
