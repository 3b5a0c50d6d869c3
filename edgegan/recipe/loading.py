"""Reading recipes: shipped ones by name, files by path, keys set by hand; errors name the nearest valid key."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from edgegan.contracts.bounds import check_values, read_whole
from edgegan.errors import ConfigError, InputError, nearest
from edgegan.recipe.schema import Recipe

MOST_BYTES = 1_000_000
MOST_SHOWN = 200  # characters of a wrong value
MOST_KEYS = 100_000  # of a recipe, names of classes included
NOT_YAML = (  # a parser's other errors: a date of month 13, a key that is a list, a number of 5,000 digits
    yaml.YAMLError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    RecursionError,
)


def read_yaml(text: str) -> Any:
    """The value of a YAML text; raises one of NOT_YAML, also for one that is out of bounds, such as aliases of aliases
    that stand for millions of values."""
    value = yaml.safe_load(text)
    check_values(value, MOST_KEYS, finite=False)
    return value


def shipped_recipes() -> dict[str, Path]:
    """Recipes that come with edgegan, by name."""
    folder = Path(str(resources.files("edgegan") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def recipe_fields(model: type[BaseModel] = Recipe, prefix: str = "") -> dict[str, str]:
    """Every dotted key of a recipe with its description."""
    fields: dict[str, str] = {}
    for name, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            fields.update(recipe_fields(inner, f"{prefix}{name}."))
        else:
            choices = get_args(info.annotation)
            values = (
                f" ({', '.join(map(str, choices))})"
                if choices and all(isinstance(c, str) for c in choices)
                else ""
            )
            fields[prefix + name] = (info.description or "") + values
    return fields


def load_recipe(source: str, overrides: list[str]) -> Recipe:
    """Reads a shipped recipe by name or a YAML file by path, applies `a.b=value` overrides, validates.

    Raises ConfigError naming the file and the dotted key, with the nearest valid key.
    """
    shipped = shipped_recipes()
    path = Path(source)
    if source in shipped:
        path = shipped[source]
    elif not path.is_file():
        raise ConfigError(
            f"no recipe '{source}'{nearest(source, shipped)}; shipped: {', '.join(shipped)}; or give a YAML file"
        )
    try:
        values = read_yaml(read_whole(path, MOST_BYTES).decode())
    except (OSError, InputError, *NOT_YAML) as error:
        raise ConfigError(f"recipe {path} is not readable YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(
            f"recipe {path} must be a mapping of keys to values, not {type(values).__name__}"
        )
    for override in overrides:
        apply_override(values, override)
    return parse_recipe(values, str(path))


def apply_override(values: dict[str, Any], override: str) -> None:
    """Sets `a.b=value` in a nested dictionary; the value is read as YAML."""
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"--set {override!r}: write it as key.subkey=value")
    target = values
    *parents, last = key.split(".")
    for parent in parents:
        child = target.get(parent)
        if child is None:
            child = target[parent] = {}
        if not isinstance(child, dict):
            raise ConfigError(f"--set {override!r}: '{parent}' is a value, not a section")
        target = child
    try:
        target[last] = read_yaml(text)
    except NOT_YAML as error:
        raise ConfigError(f"--set {override!r}: the value is not YAML: {error}") from error


def parse_recipe(values: dict[str, Any], where: str) -> Recipe:
    """Validates a recipe's values; `where` names their file in the error."""
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            hint = nearest(key, recipe_fields())
            raise ConfigError(f"recipe {where}: unknown key '{key}'{hint}") from error
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(
            f"recipe {where}: {key or 'recipe'}: {message} (got {shortened(first['input'])})"
        ) from error


def shortened(value: Any) -> str:
    """A wrong value as a message shows it."""
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 3] + "..."
