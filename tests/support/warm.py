"""What the server of commands has imported before it forks one: nothing of these starts a thread."""

from __future__ import annotations

import gc

import fvcore.nn  # noqa: F401
import torch
import torch._dynamo  # what commands import at first use: once here, not in every child
from PIL import Image

import edgegan.benchmarks.bench
import edgegan.benchmarks.report
import edgegan.cli
import edgegan.commands.options
import edgegan.compress.pipeline
import edgegan.export.bundle
import edgegan.export.exporter
import edgegan.training.teachers.train  # noqa: F401

torch.set_num_threads(1)
Image.init()
gc.collect()
gc.freeze()  # children share these objects' memory until they change them
