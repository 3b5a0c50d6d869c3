"""Every platform method and field that a dex refers to must be public API, and not newer than minSdk."""

from __future__ import annotations

from dataclasses import dataclass

from dex import Dex, MethodKey
from platform_api import Api, ancestry

PRIMITIVES = {"Z": "boolean", "C": "string", "V": "void"} | dict.fromkeys("IJFDSB", "number")
FOLDED = {"java.lang.String": "string", "java.lang.Object": "any"}
BASIC = ("number", "string", "boolean", "void")


@dataclass(frozen=True)
class Findings:
    """What was checked and what is wrong, one line each."""

    checked: int
    unknown: list[str]
    newer: list[str]


def declared(descriptor: str) -> str:
    """A dex type as the declaration file writes it."""
    if descriptor in PRIMITIVES:
        return PRIMITIVES[descriptor]
    if descriptor.startswith("["):
        return f"androidNative.Array<{declared(descriptor[1:])}>"
    name = dotted(descriptor)
    return FOLDED.get(name, name)


def dotted(descriptor: str) -> str:
    """Lx/Y$Z; as x.Y.Z."""
    return descriptor[1:-1].replace("/", ".").replace("$", ".")


def accepts(api: Api, wanted: str, offered: str) -> bool:
    """Whether a declared argument type can be the dex's; type variables and any accept everything."""
    offered = offered.replace("...", "")
    variable = offered not in api and "." not in offered and offered not in BASIC
    folded = wanted.replace("java.lang.CharSequence", "string")
    return offered in (wanted, folded) or "any" in (wanted, offered) or variable


def platform_class(dex: Dex, method: MethodKey) -> str | None:
    """The platform class that must have the method, or None when the app defines it itself."""
    owner, name, arguments = method
    while owner in dex.superclasses:
        if (owner, name, arguments) in dex.defined:
            return None
        owner = dex.superclasses[owner]
    return owner


def check(dex: Dex, api: Api, min_sdk: int) -> Findings:
    """Compares the references; classes outside android.* and java.* are not looked at."""
    unknown, newer, checked = [], [], 0
    for method, _ in dex.methods:
        owner = platform_class(dex, method)
        if owner is None or not owner.startswith(("Landroid/", "Ljava/")):
            continue
        checked += 1
        name, wanted = method[1], [declared(argument) for argument in method[2]]
        label = f"{dotted(owner)}.{name}({', '.join(wanted)})"
        places = [dotted(owner)] if name == "<init>" else ancestry(api, dotted(owner))
        levels = [
            since
            for place in places
            if place in api
            for arguments, since in api[place].methods.get(
                "constructor" if name == "<init>" else name, []
            )
            if len(arguments) == len(wanted)
            and all(accepts(api, a, b) for a, b in zip(wanted, arguments, strict=True))
        ]
        if not levels:
            unknown.append(label)
        elif min(levels) > min_sdk:
            newer.append(f"{label} since API {min(levels)}")
    for owner, name, _ in dex.fields:
        if owner in dex.superclasses or not owner.startswith("Landroid/"):
            continue
        checked += 1
        levels = [
            api[place].fields[name]
            for place in ancestry(api, dotted(owner))
            if name in api[place].fields
        ]
        if not levels:
            unknown.append(f"{dotted(owner)}.{name}")
        elif min(levels) > min_sdk:
            newer.append(f"{dotted(owner)}.{name} since API {min(levels)}")
    return Findings(checked, unknown, newer)
