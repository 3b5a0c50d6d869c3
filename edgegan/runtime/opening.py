"""A run's student, a package or an artefact, opened: what turns an array into a picture, and what it takes."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from edgegan.artefact import ModelManifest, check_artefact, check_takes, is_artefact, read_model
from edgegan.data.images import MAX_PIXELS, Floats
from edgegan.errors import InputError
from edgegan.package import LabelMapIO, is_package, planes_of
from edgegan.run import package_of
from edgegan.runtime.session import Session
from edgegan.runtime.tiling import SAME, enlarged
from edgegan.tensors import from_artefact, to_artefact


@dataclass(frozen=True)
class Generator:
    """Something that turns (C, H, W) into a picture in [-1, 1] whose sides are `ratio` times as long: `size` when only
    that size, else multiples. `kind` is what it takes; `classes` and `instance_edge` are those of label maps,
    `channels` the length of noise, `planes` the channels of each of several inputs. `sees_whole` says whether a tile
    differs from the whole picture, `whole_bytes` how much memory a pixel of the whole takes; both may cost a trial.
    `notes` are what is to be said of its results."""

    call: Callable[[Floats], Floats]
    channels: int
    size: tuple[int, int] | None
    stride: int = 1
    min_size: int = 1
    kind: str = "image"
    classes: int = 0
    instance_edge: bool = False
    ratio: Fraction = SAME
    sees_whole: Callable[[], bool] = bool
    whole_bytes: Callable[[], float] = float
    planes: tuple[int, ...] = ()
    notes: set[str] = field(default_factory=set, compare=False)

    def makes(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of what it makes of a picture of these; raises InputError where that is too large."""
        tall, wide = (enlarged(side, self.ratio) for side in size)
        if self.ratio > 1 and tall * wide > MAX_PIXELS:
            raise InputError(
                f"a picture of {size[0]}x{size[1]} becomes one of {tall}x{wide}, more than {MAX_PIXELS:,} pixels: "
                "give a smaller one"
            )
        return tall, wide


@contextlib.contextmanager
def open_generator(
    source: Path, threads: int, picture: tuple[int, int] | None = None
) -> Iterator[Generator]:
    """A run's student, a package, or an .onnx or .tflite artefact, ready to be called. Of an artefact's several sizes,
    the smallest that holds `picture` (height, width) is taken, or the largest."""
    source = package_of(source) or source
    if source.is_dir() and not is_artefact(source):
        if not is_package(source):
            raise InputError(f"{source} is neither a run, a package nor an artefact")
        with open_package(source, threads) as generator:
            yield generator
        return
    model = read_model(source)
    check_artefact(source, model)
    takes, gives = model.inputs[0], model.outputs[0]
    free = -1 in takes.shape
    size, signature = choose_size(model, picture)
    channels = takes.shape[-1] if takes.layout in ("NHWC", "NC") else takes.shape[1]
    if takes.encoding == "index":
        channels = (takes.classes or 0) + int(takes.instance_edge)
    with Session(source, threads=threads, signature=signature) as session:
        check_takes(source, model, session.inputs, None if free else size)

        def call(x: Floats) -> Floats:
            return from_artefact(session.run(to_artefact(x[None], takes)), gives)[0]

        yield Generator(
            call,
            channels,
            None if free else size,
            model.size_multiple,
            model.size_smallest,
            takes.kind,
            takes.classes or 0,
            takes.instance_edge,
            Fraction(*model.enlarges),
            sees_whole=lambda: bool(model.sees_whole_picture),
            whole_bytes=lambda: float("inf"),
            planes=tuple(each.channels for each in takes.parts),
        )


def choose_size(
    model: ModelManifest, picture: tuple[int, int] | None
) -> tuple[tuple[int, int] | None, str | None]:
    """The size of an artefact to use for a picture, and its signature where there are several."""
    if len(model.signatures) < 2:
        return (model.size if model.sizes or len(model.inputs[0].shape) == 4 else None), None
    ordered = sorted(zip(model.sizes, model.signatures, strict=True), key=lambda each: each[0])
    if picture is None:
        return model.size, model.signatures[0]
    fitting = [each for each in ordered if each[0][0] >= picture[0] and each[0][1] >= picture[1]]
    return fitting[0] if fitting else ordered[-1]


@contextlib.contextmanager
def open_package(folder: Path, threads: int) -> Iterator[Generator]:
    """A package in PyTorch."""
    import torch

    from edgegan.deployment.whole_picture import Trial, try_out
    from edgegan.models.zoo import load_generator, parse_spec, trial_size

    config, module = load_generator(folder)
    spec = parse_spec(config.family, config.spec)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)

    def call(x: Floats) -> Floats:
        with torch.inference_mode():
            return module(torch.from_numpy(x)[None])[0].numpy()

    @functools.cache
    def trial() -> Trial:
        return try_out(module, torch.zeros(1, config.input.channels, *trial_size(spec)))

    try:
        takes = config.input
        labels = takes if isinstance(takes, LabelMapIO) else None
        yield Generator(
            call,
            takes.channels,
            spec.size,
            spec.stride,
            spec.min_size,
            takes.kind,
            labels.classes if labels else 0,
            labels.instance_edge if labels else False,
            spec.ratio,
            sees_whole=lambda: trial().sees_whole,
            whole_bytes=lambda: trial().bytes_per_pixel,
            planes=planes_of(takes),
        )
    finally:
        torch.set_num_threads(before)
