"""Commands in processes of their own, forked from a server that has imported everything, so that they can be killed."""

from __future__ import annotations

import multiprocessing
import os
import sys
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import fvcore.nn  # noqa: F401
import torch
import torch._dynamo  # what commands import at first use: once here, not in every child
from PIL import Image

import edgegan.benchmarks.bench
import edgegan.benchmarks.report
import edgegan.export.exporter  # noqa: F401
from edgegan.cli import main
from edgegan.compress.pipeline import compress
from edgegan.recipe.loading import load_recipe

Image.init()


def run_alone(settings: list[str], folder: str) -> None:
    """`edgegan compress resnet` with these settings."""
    torch.set_num_threads(1)
    compress(load_recipe("resnet", settings), Path(folder))


def command_alone(arguments: list[str], log: str) -> None:
    """Any command, its stdout and stderr in a file."""
    torch.set_num_threads(1)
    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.argv = ["edgegan", *arguments]
    main()


def start_command(arguments: list[object], log: Path) -> ForkServerProcess:
    """Starts a command; the caller waits for it or kills it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["support.alone"])
    process = context.Process(target=command_alone, args=([*map(str, arguments)], str(log)))
    process.start()
    return process


def finish_command(arguments: list[object], log: Path) -> tuple[int | None, str]:
    """Runs a command to its end; returns its exit code and what it printed."""
    process = start_command(arguments, log)
    process.join()
    return process.exitcode, log.read_text(encoding="utf-8", errors="replace")
