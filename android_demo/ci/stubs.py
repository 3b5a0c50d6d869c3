"""Stub descriptions (*.stubs) to Java sources that javac can compile the app against."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

BODY = '{ throw new RuntimeException("stub"); }'
HEADER = re.compile(r"((?:final |abstract )*)(class|interface|enum) ([\w.]+)(.*)")


@dataclass
class Stub:
    """One class: its Java header, its members and the classes inside it."""

    name: str
    kind: str
    header: str
    members: list[str] = field(default_factory=list)
    inside: list[Stub] = field(default_factory=list)

    def java(self, nested: bool) -> str:
        """The class as Java; static when it stands inside another."""
        lines = [f"public {'static ' if nested else ''}{self.header} {{"]
        if self.kind == "enum":
            lines.append(", ".join(self.members) + ";")
        elif self.kind == "class" and "new()" not in self.members:
            lines.append(f"protected {self.name}() {BODY}")
        if self.kind != "enum":
            lines += [self.member(text) for text in self.members]
        lines += [stub.java(True) for stub in self.inside]
        return "\n".join([*lines, "}"])

    def member(self, text: str) -> str:
        """One constructor, method or field."""
        found = re.fullmatch(r"([^(=]*?)(\w+)\((.*?)\)( throws .*)?", text)
        access = "" if text.startswith("protected ") or self.kind == "interface" else "public "
        if found is None:
            constant = text.startswith("static final ") and "=" not in text
            unknown = 'Integer.parseInt("0")' if " int " in text else "null"  # not inlined by javac
            return f"{access}{text} = {unknown};" if constant else f"{access}{text};"
        before, name, types, throws = found.groups()
        arguments = ", ".join(f"{t.strip()} a{i}" for i, t in enumerate(split(types)))
        constructor = name == "new"
        start = f"{access}{before}{self.name if constructor else name}({arguments}){throws or ''}"
        if self.kind == "interface" or "abstract " in before:
            return f"{start};"
        return f"{start} {BODY}"


def split(types: str) -> list[str]:
    """Argument types at commas outside of generics."""
    parts, depth, current = [], 0, ""
    for character in types:
        depth += (character == "<") - (character == ">")
        if character == "," and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += character
    return [*parts, current] if current.strip() else parts


def parse(text: str) -> list[Stub]:
    """The outer classes of a description."""
    known: dict[str, Stub] = {}
    outer: list[Stub] = []
    current: Stub | None = None
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("  "):
            assert current is not None, f"a member before any class: {line}"
            current.members.append(line.strip())
            continue
        found = HEADER.fullmatch(line)
        assert found is not None, f"not a class: {line}"
        modifiers, kind, full, rest = found.groups()
        simple = full.rsplit(".", 1)[-1]
        parent = full.rsplit(".", 1)[0]
        current = Stub(simple, kind, f"{modifiers}{kind} {simple}{rest}")
        known[full] = current
        if parent in known:
            known[parent].inside.append(current)
        else:
            current.header = f"{parent}|{current.header}"
            outer.append(current)
    return outer


def write(description: Path, folder: Path) -> list[Path]:
    """Writes one Java file for each outer class; returns them."""
    files = []
    for stub in parse(description.read_text(encoding="utf-8")):
        package, stub.header = stub.header.split("|", 1)
        path = folder / package.replace(".", "/") / f"{stub.name}.java"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"package {package};\n{stub.java(False)}\n", encoding="utf-8")
        files.append(path)
    return files
