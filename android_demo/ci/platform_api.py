"""Android's public API out of a TypeScript declaration file in which members are tagged with their API level.

The file is that of npm's @nativescript/types-android. It folds int, long, float and double to "number", so that a
mix-up of those is not seen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

SINCE = re.compile(r"/\*\* @since (\d+)")
MODULE = re.compile(r"(?:declare|export) (?:module|namespace) ([\w.$]+) \{")
CLASS = re.compile(
    r"export (?:abstract )?(?:class|interface) ([\w$]+)(<[^{]*?>)?\s*"
    r"(?: ?extends ([^{]*?))?(?: ?implements ([^{]*?))?\s*\{"
)
METHOD = re.compile(r"public (?:static )?(?:abstract )?([\w$]+)(?:<.*?>)?\((.*)\)(?:: (.*))?;$")
PROPERTY = re.compile(r"public (?:static )?(?:get |readonly )?([\w$]+)(?:\(\))?: (.*);$")


@dataclass
class ApiClass:
    """Methods by name: (argument types, API level); fields: API level."""

    parents: list[str]
    methods: dict[str, list[tuple[list[str], int]]] = field(default_factory=dict)
    fields: dict[str, int] = field(default_factory=dict)


Api = dict[str, ApiClass]


def plain(text: str) -> str:
    """A type without nullability and generics."""
    text = re.sub(r"\s*\|\s*(null|undefined)", "", text.strip())
    array = re.match(r"androidNative\.Array<(.*)>$", text)
    return f"androidNative.Array<{plain(array[1])}>" if array else re.sub(r"<.*>$", "", text)


def top_level(text: str) -> list[str]:
    """Parts between commas that stand outside of brackets."""
    parts, depth, current = [], 0, ""
    for character in text:
        depth += (character in "<({") - (character in ">)}")
        if character == "," and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += character
    return [*parts, current] if current.strip() else parts


def argument_types(text: str) -> list[str]:
    """Types of "a: T, b?: U"; "any" where none is written."""
    return [plain(part.split(":", 1)[1]) if ":" in part else "any" for part in top_level(text)]


def load(path: Path) -> Api:
    """Every class by its dotted name."""
    api: Api = {}
    stack: list[tuple[str, ApiClass | None]] = []
    since, inline_type = 1, False
    with path.open(encoding="utf-8") as lines:
        for raw in lines:
            line = raw.strip()
            if found := SINCE.match(line):
                since = int(found[1])
            elif found := MODULE.match(line):
                stack.append((found[1], None))
            elif found := CLASS.match(line):
                parents = [plain(found[3])] if found[3] else []
                parents += [plain(part) for part in top_level(found[4] or "")]
                known = ApiClass(parents)
                api[".".join([*(name for name, _ in stack), found[1]])] = known
                stack.append((found[1], known))
                since = 1
            elif line == "}" and stack:
                stack.pop()
            elif line.startswith("public constructor(implementation: {"):
                inline_type = True
            elif line == "});":
                inline_type = False
            elif not inline_type and stack and (owner := stack[-1][1]) is not None:
                if found := METHOD.match(line):
                    owner.methods.setdefault(found[1], []).append((argument_types(found[2]), since))
                    since = 1
                elif found := PROPERTY.match(line):
                    owner.fields[found[1]] = since
                    since = 1
    return api


def ancestry(api: Api, name: str) -> list[str]:
    """A class and everything it inherits from, once each."""
    seen: list[str] = []
    waiting = [name]
    while waiting:
        current = waiting.pop(0)
        if current in api and current not in seen:
            seen.append(current)
            waiting += api[current].parents
    return seen
