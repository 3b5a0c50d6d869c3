"""What a person sees while work runs: progress on stderr, results on stdout; plain lines when not a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from edgegan import streams
from edgegan.distributed import is_main
from edgegan.streams import printable

PLAIN_INTERVAL_S = 10.0


def say(message: str, *, always: bool = False) -> None:
    """One line of progress on stderr, whatever names are in it; of several processes only the first talks, unless
    `always`."""
    if not (always or is_main()):
        return
    sys.stderr.write(printable(message) + "\n")
    sys.stderr.flush()


def emit(text: str) -> None:
    """One result on stdout, of the first of several processes. Its lines are the caller's, who lets foreign names in
    them through `printable`."""
    if not is_main():
        return
    stream = streams.results or sys.stdout
    stream.write(printable(text, keep="\n\t") + "\n")
    stream.flush()


def format_duration(duration_s: float) -> str:
    """Seconds as 42s, 3m07s or 1h02m."""
    seconds = max(0, round(duration_s))
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    return f"{seconds // 3600}h{seconds % 3600 // 60:02d}m"


def format_cost(cost: float) -> str:
    """Whole numbers with separators, small ones such as milliseconds with three digits."""
    return f"{cost:,.0f}" if cost >= 1000 else f"{cost:.3g}"


class Progress:
    """A counter with an estimate of the time left: a bar on a terminal, else a line every ten seconds."""

    def __init__(self, label: str, total: int, start: int = 0) -> None:
        self.label, self.total, self.start = printable(label), total, start
        self.began = self.last_line = time.monotonic()
        self.done, self.note = start, ""
        self.printed: tuple[int, str] | None = None
        self.bar = None
        if sys.stderr.isatty() and is_main():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as RichProgress

            self.bar = RichProgress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}", markup=False),
                console=Console(stderr=True),
            )
            self.task = self.bar.add_task(self.label, total=total, completed=start, note="")
            self.bar.start()

    def step(self, done: int, note: str = "") -> None:
        """Sets how many are done, with a short note such as the loss."""
        self.done, self.note = done, printable(note)
        if self.bar is not None:
            self.bar.update(self.task, completed=done, note=self.note)
        elif time.monotonic() - self.last_line >= PLAIN_INTERVAL_S:
            self.line()

    def line(self) -> None:
        """Prints the plain form."""
        self.last_line = time.monotonic()
        self.printed = (self.done, self.note)
        elapsed_s = self.last_line - self.began
        advanced = self.done - self.start
        eta = ""
        if advanced > 0 and self.done < self.total:
            eta = f"eta {format_duration(elapsed_s / advanced * (self.total - self.done))}  "
        say(
            f"  {self.label} {self.done}/{self.total}  {format_duration(elapsed_s)}  {eta}{self.note}".rstrip()
        )

    def close(self) -> None:
        """Ends the bar, or prints the last plain line."""
        if self.bar is not None:
            self.bar.stop()
        elif self.printed != (self.done, self.note):
            self.line()


@contextmanager
def progress(label: str, total: int, start: int = 0) -> Iterator[Progress]:
    """A Progress that is always closed; `start` is where a resumed stage begins."""
    bar = Progress(label, total, start)
    try:
        yield bar
    finally:
        bar.close()


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A plain-text table: first column left, the others right aligned."""
    from io import StringIO

    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for index, header in enumerate(headers):
        drawn.add_column(
            Text(printable(header)), justify="left" if index == 0 else "right", no_wrap=True
        )
    for row in rows:
        drawn.add_row(*(Text(printable(value)) for value in row))
    buffer = StringIO()
    Console(file=buffer, width=240, color_system=None).print(drawn)
    return "\n".join(line.rstrip() for line in buffer.getvalue().rstrip().splitlines())
