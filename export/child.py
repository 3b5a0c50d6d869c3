"""A converter's child process: started, waited for while the progress in its log is shown, its result read."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from edgegan.console import say
from edgegan.errors import ConfigError, DeviceError, OutputError
from edgegan.files import make_folder, read_json, write_json
from edgegan.ownership.journal import claim
from edgegan.processes import Overrun, end, start
from edgegan.runtime.limits import CONVERT_S, LONGER, deadline_s, ending_with_us

SHOWN = re.compile(r"^  (calibrate|sensitivity|max-drop|int8) .*")
POLL_SECONDS = 0.5
FULL_BYTES = 1 << 16  # a disk with less free is what made a converter fail, whatever it says


def wait_showing(child: subprocess.Popen[bytes], log: Path, limit_s: float) -> int:
    """The exit code of `child`; lines of progress in `log` are said as they come. Raises Overrun after `limit_s`."""
    shown, deadline = 0, time.monotonic() + limit_s
    while True:
        if time.monotonic() > deadline:
            raise Overrun(f"took more than {limit_s:g} s")
        try:
            returncode: int | None = child.wait(timeout=POLL_SECONDS)
        except subprocess.TimeoutExpired:
            returncode = None
        lines = log.read_text(errors="replace").splitlines()
        complete = lines if returncode is not None else lines[:-1]
        for line in complete[shown:]:
            if SHOWN.match(line):
                say(line)
        shown = max(shown, len(complete))
        if returncode is not None:
            return returncode


def run_converter(job: dict[str, Any], work: Path, log: Path) -> dict[str, Any]:
    """Runs the conversion in a child process with its output in `log`; raises DeviceError with the log's last line.

    The child and what it starts end with this process, at its deadline, and when this process is interrupted.
    """
    write_json(work / "job.json", job)
    make_folder(log.parent)
    claim(log)
    with log.open("wb") as file:
        command = [sys.executable, "-m", "edgegan.export.convert", str(work / "job.json")]
        pipes = {"stdin": subprocess.PIPE, "stdout": file, "stderr": subprocess.STDOUT}
        child = start(ending_with_us(command), **pipes)
        try:
            returncode = wait_showing(child, log, deadline_s(CONVERT_S))
        except Overrun as error:
            end(child)
            raise DeviceError(
                f"converting {job['package']} to {job['target']} {error}; {LONGER} (whole log: {log})"
            ) from error
        except BaseException:
            end(child)
            raise
        finally:
            if child.stdin is not None:
                child.stdin.close()
    if returncode != 0 or not (work / "result.json").is_file():
        lines = log.read_text(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"exit code {returncode}, no output"
        if "[Errno 28]" in reason or shutil.disk_usage(work).free < FULL_BYTES:
            raise OutputError(
                f"cannot write {work.parent}: No space left on device; free space or choose another folder with -o"
            )
        raise DeviceError(f"converting to {job['target']} failed: {reason} (whole log: {log})")
    result = dict(read_json(work / "result.json"))
    (work / "result.json").unlink()
    if "refused" in result:
        raise ConfigError(
            f"{job['package']} cannot be exported to {job['target']}: {result['refused']}; write it with other layers, "
            f"or choose the other --target (whole log: {log})"
        )
    return result


def wrong_layer(job: dict[str, Any], work: Path, log: Path) -> str:
    """The layer from which a fp32 artefact departs from PyTorch, in words."""
    say("  looking for the layer: prefixes of the generator are converted")
    culprit = run_converter({**job, "locate": True}, work, log.with_stem(f"{log.stem}_locate"))[
        "culprit"
    ]
    if culprit is None:
        return "every layer alone is right: the difference grows over all of them"
    return f"the first wrong layer is {culprit['layer']} ({culprit['kind']}): {culprit['reason']}"
