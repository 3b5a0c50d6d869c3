"""Options, parsers and printing that commands share."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from edgegan.console import emit
from edgegan.errors import ConfigError, nearest
from edgegan.recipe.kinds import COSTS
from edgegan.streams import printable

Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace an output that exists")]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="leave out files that cannot be read, by name")
]
OwnGenerator = Annotated[
    str | None,
    typer.Option(
        "--generator", help="package.module:factory of a package made by your own generator"
    ),
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust", help="run networks that are not edgegan's own also where nothing confines them"
    ),
]
Deadline = Annotated[
    float | None,
    typer.Option(
        "--deadline",
        min=0.1,
        help="longest wait, in s, for a runtime, converter or device to answer",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="print the result as JSON on stdout")]


def with_budgets(command: Callable[..., None]) -> Callable[..., None]:
    """The command with one option --budget-KIND for each kind of cost; its parameter `given` gets those that are used,
    by kind."""

    def run(**values: Any) -> None:
        given = {kind: values.pop(f"budget_{kind}") for kind in COSTS}
        command(**values, given={kind: text for kind, text in given.items() if text is not None})

    options = [
        inspect.Parameter(
            f"budget_{kind}",
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=None,
            annotation=Annotated[
                str | None,
                typer.Option(help=f"{cost.help}; in place of the recipe's budgets"),
            ],
        )
        for kind, cost in COSTS.items()
    ]
    signature = inspect.signature(command, eval_str=True)
    own = [each for name, each in signature.parameters.items() if name != "given"]
    after = [each.name for each in own].index("method") + 1
    parameters = [*own[:after], *options, *own[after:]]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    run.__doc__, run.__name__ = command.__doc__, command.__name__
    run.__module__ = command.__module__
    return run


def parse_size(text: str | None) -> tuple[int, int] | None:
    """'256' or '192x256' to (height, width)."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if not all(part.isdigit() and int(part) > 0 for part in parts) or len(parts) not in (1, 2):
        raise ConfigError(f"--size {text!r}: write it as 256 or as HEIGHTxWIDTH, such as 192x256")
    return int(parts[0]), int(parts[-1])


def show(result: Any, as_json: bool, text: str) -> None:
    """Prints a command's result: JSON for machines, text for people."""
    emit(json.dumps(result, indent=2) if as_json else text)


def show_headlines(path: Path, headlines: Mapping[str, Sequence[Any]], as_json: bool) -> None:
    """Prints a report's path and the figures of its runs; JSON's "headline" is the first run's."""
    lines = []
    for label, headline in headlines.items():
        lines += [printable(label)] if len(headlines) > 1 else []
        lines += [printable(f"  {i.value:>9}  {i.label}: {i.detail}") for i in headline]
    figures = {
        label: [{"value": i.value, "label": i.label, "detail": i.detail} for i in headline]
        for label, headline in headlines.items()
    }
    result = {"report": str(path), "headline": next(iter(figures.values())), "runs": figures}
    show(result, as_json, "\n".join([*lines, f"report: {printable(path)}"]))


def choose(option: str, values: list[str], allowed: Sequence[str]) -> list[str]:
    """The given values in the allowed order; raises ConfigError with the nearest allowed one."""
    for value in values:
        if value not in allowed:
            raise ConfigError(
                f"{option} {value!r} is unknown{nearest(value, allowed)}; choose from {', '.join(allowed)}"
            )
    return [value for value in allowed if value in values]


def limit_foreign(trust: bool, deadline: float | None) -> None:
    """What --trust and --deadline say holds from here on."""
    from edgegan.runtime import limits

    limits.set_deadline(deadline)
    if trust:
        limits.trust()


def allow(generator: str | None) -> None:
    """Lets packages made by this factory be loaded."""
    if generator is not None:
        from edgegan.models.custom import allow_generator

        allow_generator(generator)
