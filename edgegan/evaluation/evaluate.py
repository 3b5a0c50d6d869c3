"""`edgegan evaluate` in order: find the pictures, judge them, keep the figures where the report finds them."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgegan.console import say
from edgegan.data.datasets import match
from edgegan.data.images import list_images, take_crop
from edgegan.data.labels import read_labels
from edgegan.data.pictures import Files, LabelFiles, Pictures, readable, together
from edgegan.data.results import compared
from edgegan.errors import ConfigError, InputError
from edgegan.evaluation.figures import (
    Judge,
    distribution_figures,
    features_of,
    paired_figures,
    score_figure,
    segmentation_figures,
    statistics_figure,
)
from edgegan.evaluation.sets import (
    MIDDLE,
    Inputs,
    PictureSet,
    artefact_size,
    folder_inputs,
    generate,
    limited,
    match_files,
    noise_inputs,
    run_inputs,
    run_of,
    teacher_of,
)
from edgegan.files import sha256_file
from edgegan.metrics.evaluations import keep_evaluation
from edgegan.metrics.extractors import inception_logits, open_extractor
from edgegan.metrics.networks import SUFFIXES, open_network
from edgegan.metrics.perceptual import PerceptualNetwork, open_perceptual
from edgegan.metrics.protocol import Figure
from edgegan.metrics.published_protocols import PublishedProtocol
from edgegan.metrics.statistics import Statistics, is_statistics, read_statistics
from edgegan.models.own_features import OWN_NETWORKS, own_network
from edgegan.models.segmenters import open_segmenter, takes_rgb
from edgegan.package import LabelMapIO, NoiseIO, PackageConfig, read_config
from edgegan.run import Run, command_line, environment, now, package_of


@dataclass(frozen=True)
class Settings:
    """What to measure with, and on what; a figure whose network is not given is left out."""

    features: str | None = None
    feature_weights: Path | None = None
    perceptual: list[str] = field(default_factory=list)
    classifier: Path | None = None
    segmentation: Path | None = None
    classes: int | None = None
    ignore: int | None = None
    labels: Path | None = None
    reference: Path | None = None
    instances: Path | None = None
    size: tuple[int, int] | None = None
    most: int | None = None
    published: PublishedProtocol | None = None
    download: bool = False
    repeats: int = 100
    threads: int = 1
    skip_bad: bool = False

    def open_reference(self, inputs: Inputs) -> PictureSet | Statistics | None:
        """Real pictures of the target domain: a folder, statistics of one, or the targets of the recipe's validation
        split."""
        if self.reference is not None:
            if is_statistics(self.reference):
                return self.open_statistics(self.reference)
            files = readable(list_images(self.reference), skip_bad=self.skip_bad)
            return self.folder(self.reference, Files(files))
        if inputs.split is None or inputs.split.targets is None:
            return None
        if self.published is None:
            targets = inputs.split.targets
            return PictureSet("validation targets", targets, inputs.size, inputs.resize)
        kept = inputs.split.targets
        trained_on = inputs.training.targets if inputs.training is not None else None
        if self.published.reference == "train" and trained_on is not None:
            return self.folder("training targets", trained_on)
        every = self.published.reference == "all when unpaired"
        if every and inputs.split.data.kind == "unpaired" and trained_on is not None:
            return self.folder("training and validation targets", together(trained_on, kept))
        return self.folder("validation targets", kept)

    def folder(self, name: Path | str, files: Pictures) -> PictureSet:
        """A set of pictures, as they are by a published protocol, else cropped where a size is set."""
        if self.published is None:
            return PictureSet(str(name), files, self.size)
        return PictureSet(str(name), files, cut=self.published.truncate_reals)

    def open_statistics(self, path: Path) -> Statistics:
        """Statistics, where there is a network to compare them with."""
        if self.feature_weights is None and not self.download:
            raise ConfigError(
                f"{path} holds statistics of features: give their network with --feature-weights, or --download"
            )
        return read_statistics(path)

    def label_reader(self, inputs: Inputs) -> Callable[[int], np.ndarray] | None:
        """Label maps of what generators made: a folder's of the same names, or their inputs."""
        if isinstance(inputs.io, LabelMapIO) and self.labels is None:
            return inputs.labels
        if self.labels is None or inputs.split is None:
            return None
        if not isinstance(inputs.split.inputs, Files | LabelFiles):
            raise ConfigError("--labels needs input pictures in files, not in an array")
        found = match_files(inputs.split.inputs.paths, Path(inputs.where), self.labels)
        return lambda index: inputs.fitted(read_labels(found[index]))

    def folder_labels(self, files: list[Path], folder: Path) -> Callable[[int], np.ndarray] | None:
        """Label maps of a folder of pictures, by name."""
        if self.labels is None:
            return None
        found = match_files(files, folder, self.labels)

        def read(index: int) -> np.ndarray:
            labels = read_labels(found[index])
            return labels if self.size is None else take_crop(labels, MIDDLE, self.size, None)

        return read


@dataclass(frozen=True)
class Judged:
    """One set under judgement. `partner` is compared picture by picture, `rivals` as sets or by their statistics;
    labels by index, of so many `classes` where they are what generators were fed."""

    pictures: PictureSet
    partner: PictureSet | None
    rivals: dict[str, PictureSet | Statistics]
    labels: Callable[[int], np.ndarray] | None
    teacher: Path | None
    split: str
    subject: str
    others: dict[str, PictureSet] = field(default_factory=dict)
    classes: int | None = None


def evaluate_generator(
    source: Path, teacher: Path | None, images: Path | None, settings: Settings
) -> dict[str, Any]:
    """A run's student, a package or an artefact against its teacher on a folder, on its recipe's validation pictures
    without one; the run, if there is one, keeps the figures in evaluate.json.

    Raises InputError or ConfigError when the teacher or the pictures cannot be found.
    """
    run = run_of(source)
    if teacher is None and run is not None:
        teacher = teacher_of(run)
    if teacher is not None:
        read_config(teacher)
    package = package_of(source)
    judged_source = package or source
    about = package or teacher or (run.folder / "student" if run else None)
    if about is None:
        raise ConfigError(
            f"{source} does not say what it takes; give its teacher's package as the second argument"
        )
    config = read_config(about)
    inputs = inputs_of(source, config, run, images, artefact_size(judged_source), settings)
    name = judged_source.name if run is None else f"{run.folder.name}/{judged_source.name}"
    with tempfile.TemporaryDirectory(prefix="edgegan-") as scratch:
        folder = Path(scratch)
        made = generate(judged_source, name, inputs, folder, settings.threads)
        theirs = generate(teacher, "teacher", inputs, folder, settings.threads) if teacher else None
        rivals: dict[str, PictureSet | Statistics] = {}
        others = {}
        if theirs is not None:
            rivals[""] = theirs
            others["_teacher"] = theirs
        reference = settings.open_reference(inputs)
        if reference is not None:
            rivals["_reference"] = reference
        judged = Judged(
            pictures=made,
            partner=theirs,
            rivals=rivals,
            labels=settings.label_reader(inputs),
            teacher=teacher,
            split=f"{inputs.split_name}, {inputs.where}",
            subject=judged_source.name,
            others=others,
            classes=inputs.io.classes
            if isinstance(inputs.io, LabelMapIO) and settings.labels is None
            else None,
        )
        result = judge_all(judged, settings)
    if run is not None:
        result["written"] = str(keep_evaluation(run.folder, result))
    return result


def inputs_of(
    source: Path,
    config: PackageConfig,
    run: Run | None,
    images: Path | None,
    fixed: tuple[int, int] | None,
    settings: Settings,
) -> Inputs:
    """What is fed to a generator and its teacher: noise, a folder's pictures, or a recipe's. An artefact's size is
    `fixed`. Raises ConfigError when there is nothing to feed.
    """
    if isinstance(config.input, NoiseIO):
        return limited(noise_inputs(config, settings.most or 1000), settings.most)
    size = settings.size or fixed
    if images is not None:
        stated = (settings.instances, settings.published)
        inputs = folder_inputs(images, config, size, *stated, skip_bad=settings.skip_bad)
    elif run is not None:
        inputs = run_inputs(run, config.input, size, settings.published)
    else:
        raise ConfigError(f"{source} belongs to no run: give pictures to judge it on with --images")
    return limited(inputs, settings.most)


def evaluate_folders(first: Path, second: Path, settings: Settings) -> dict[str, Any]:
    """Two folders of pictures: picture by picture when names match, and as sets; the second may be statistics."""
    files, others = compared(first, second)
    files = readable(files, skip_bad=settings.skip_bad)
    if settings.most is not None:
        files = files[: settings.most]
    pictures = PictureSet(str(first), Files(files), settings.size)
    reader = settings.folder_labels(files, first)
    if is_statistics(second):
        rivals: dict[str, PictureSet | Statistics] = {"": settings.open_statistics(second)}
        return judge_all(
            Judged(pictures, None, rivals, reader, None, "as given", str(first)), settings
        )
    others = readable(others, skip_bad=settings.skip_bad)
    rival = settings.folder(second, Files(others))
    partner = None
    try:
        partner = settings.folder(second, Files(match(files, first, others, second)[1]))
    except InputError:
        say(f"names in {first} and {second} differ: compared as sets only, not picture by picture")
    judged = Judged(pictures, partner, {"": rival}, reader, None, "as given", str(first))
    return judge_all(judged, settings)


def judge_all(judged: Judged, settings: Settings) -> dict[str, Any]:
    """Every figure that the settings allow; what was left out is said in `notes`."""
    judge = Judge(judged.split, settings.repeats)
    figures: list[Figure] = []
    notes: list[str] = []
    if judged.partner is not None:
        networks = perceptual_networks(judged.teacher, settings)
        found, left_out = paired_figures(judge, judged.pictures, judged.partner, networks)
        figures += found
        notes += left_out
        if not networks:
            notes.append("no perceptual distance: give --perceptual PATH")
    sets = {"": judged.pictures, **judged.others}
    if settings.feature_weights or settings.download:
        figures += set_figures(judge, judged, settings)
    elif judged.rivals:
        notes.append("no Frechet distance and KID: give --feature-weights PATH, or --download")
    if settings.classifier is not None:
        with open_classifier(settings.classifier, settings.threads) as (classify, name):
            digest = sha256_file(settings.classifier)
            for suffix, pictures in sets.items():
                figures.append(score_figure(judge, pictures, classify, name, digest, suffix))
    if settings.segmentation is not None:
        figures += seen_classes(judge, judged, settings, settings.segmentation, sets)
    if not figures:
        raise ConfigError(
            "nothing to measure: the pictures are not pairs, and no network was given; "
            "add --feature-weights PATH"
        )
    return {
        "subject": judged.subject,
        "against": judged.partner.name
        if judged.partner
        else ", ".join(r.name for r in judged.rivals.values()),
        "command": command_line(),
        "created": now(),
        "environment": environment(),
        "figures": [each.model_dump(mode="json") for each in figures],
        "notes": notes,
        **about_protocol(settings.published),
    }


def about_protocol(published: PublishedProtocol | None) -> dict[str, Any]:
    """What a result says of the protocol that set its sets, scaling and rounding."""
    return {"protocol": {"name": published.name, "sets": published.lines()}} if published else {}


def seen_classes(
    judge: Judge,
    judged: Judged,
    settings: Settings,
    path: Path,
    sets: dict[str, PictureSet],
) -> list[Figure]:
    """What a segmentation network sees of the label maps, in every set that was made of them."""
    read = judged.labels
    if read is None:
        raise ConfigError(
            "--segmentation compares with label maps: give their folder with --labels"
        )
    figures = []
    with open_segmenter(path, settings.threads) as network:
        card = network.card
        classes = settings.classes or len(card.classes)
        if not classes:
            raise ConfigError(f"{path} does not name its classes: give their number with --classes")
        if judged.classes is not None and card.translates(judged.classes):
            theirs, table = read, np.asarray(card.of_labels)
            read = lambda index: table[theirs(index)]  # noqa: E731
        elif judged.classes == classes + 1:  # the generator has a class for pixels that have none
            card = card.model_copy(update={"ignore": classes})
        ignore = card.ignore if settings.ignore is None else settings.ignore
        for suffix, pictures in sets.items():
            figures += segmentation_figures(judge, pictures, read, network, classes, ignore, suffix)
    return figures


def set_figures(judge: Judge, judged: Judged, settings: Settings) -> list[Figure]:
    """Frechet distance and KID to every rival, and the teacher's own to the reference."""
    figures = []
    with open_extractor(
        settings.feature_weights,
        settings.features,
        download=settings.download,
        threads=settings.threads,
        clean=settings.published is not None and settings.published.clean,
    ) as extractor:
        features = {"": (judged.pictures, features_of(extractor, judged.pictures))}
        for suffix, rival in judged.rivals.items():
            if isinstance(rival, Statistics):
                figures.append(statistics_figure(judge, suffix, features[""], rival, extractor))
                continue
            other = (rival, features_of(extractor, rival))
            figures += distribution_figures(judge, suffix, features[""], other, extractor)
            features[suffix or "_teacher"] = other
        reference = judged.rivals.get("_reference")
        if "_teacher" in judged.others and reference is not None:
            theirs, suffix = features["_teacher"], "_teacher_reference"
            if isinstance(reference, Statistics):
                figures.append(statistics_figure(judge, suffix, theirs, reference, extractor))
            else:
                pair = theirs, features["_reference"]
                figures += distribution_figures(judge, suffix, *pair, extractor)
    return figures


def perceptual_networks(teacher: Path | None, settings: Settings) -> list[PerceptualNetwork]:
    """The networks asked for; without any, the teacher's own features, or VGG16 when downloads are allowed."""
    asked = list(settings.perceptual)
    if not asked and teacher is not None and takes_rgb(read_config(teacher)):
        asked = ["teacher"]
    found = []
    for name in asked:
        if name not in OWN_NETWORKS:
            found.append(open_perceptual(Path(name)))
            continue
        if teacher is None:
            raise ConfigError(
                f"--perceptual {name}: there is no teacher to look through; give a path"
            )
        found.append(own_network(name, teacher, 3, "--perceptual"))
    if not found and settings.download:
        found.append(open_perceptual(None, download=True))
    return found


@contextlib.contextmanager
def open_classifier(
    path: Path, threads: int
) -> Iterator[tuple[Callable[[torch.Tensor], torch.Tensor], str]]:
    """A classifier of pictures: a TorchScript or ONNX network, or pytorch-fid's weights with their own classifier."""
    if path.suffix.lower() in SUFFIXES:
        with open_network(path, threads=threads) as network:
            yield network.call, network.name
        return
    yield inception_logits(path), "inception-2015-12-05"
