"""What a hostile file puts in the place of an honest value, and ways to spoil bytes, by kind of file."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import yaml

Mutate = Callable[[bytes, random.Random], bytes]

VALUES: tuple[Any, ...] = (
    -1,
    0,
    2**31,
    2**63,
    2**64,
    10**12,
    10**30,
    1e308,
    -1e308,
    5e-324,
    0.5,
    True,
    None,
    "",
    "5",
    "a" * 100_000,
    "a" * 300,
    "\0",
    "\x1b[2J\x07",
    "line\nline",
    "../../outside",
    "/etc/passwd",
    "ünïcode ☃ \u202e",
    [],
    {},
    [[]],
    [1, 2, 3],
    [0] * 50_000,
    [-1, -1, -1, -1],
    [10**9] * 4,
    {"a": {"b": 1}},
)
TEXTS = (  # what no value stands for: put into the text in the place of a value
    "NaN",
    "-Infinity",
    "1e999",
    "9" * 5000,
    "-" + "9" * 400,
    '"\\ud800"',
    '"\\udfff\\u0000"',
    "[" * 100_000,
    "[" * 2000 + "]" * 2000,
    '{"a":' * 3000 + "1" + "}" * 3000,
    "'",
    "undefined",
    '{"a": 1, "a": 2}',
)
YAML_TEXTS = (
    "*nothing",
    "&a [*a]",
    "!!python/object/apply:os.system [touch outside]",
    "!!binary aGk=",
    "!!set {a, b}",
    "!!timestamp x",
    "!!int x",
    "!!bool x",
    "!!float x",
    "2001-13-45",
    "1:99999:99",
    "{[a]: 1}",
    "{? [a] : 1}",
    ".inf",
    ".nan",
    "0x" + "f" * 5000,
    "9" * 5000,
    "[" * 3000,
    "|\n\t\tx",
    "\x07",
    "%TAG",
    "<<: 5",
    "{<<: [1]}",
)
MARK = "put the text here"


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where a nested value has parts."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key in value:
            found += places(value[key], (*path, key))
    elif isinstance(value, list):
        for index in range(min(3, len(value))):
            found += places(value[index], (*path, index))
    return found


def put(value: Any, path: tuple[Any, ...], other: Any) -> None:
    """Replaces a part."""
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = other


def remove(value: Any, path: tuple[Any, ...]) -> None:
    """Takes a part away."""
    for key in path[:-1]:
        value = value[key]
    del value[path[-1]]


def mutate_value(value: Any, chance: random.Random) -> tuple[Any, str]:
    """A value with one part hostile, and the text to put in the place of MARK."""
    found = places(value)
    if not found:
        return MARK, chance.choice(TEXTS)
    path = chance.choice(found)
    way = chance.random()
    if way < 0.15:
        remove(value, path)
    elif way < 0.75:
        put(value, path, chance.choice(VALUES))
    elif way < 0.8:
        put(value, (*path[:-1], chance.choice(("x", "\x1b[2J", "../x", "a" * 5000))), 1) if (
            isinstance(path[-1], str)
        ) else put(value, path, path)
    else:
        put(value, path, MARK)
    return value, chance.choice(TEXTS)


def spoil_json(data: bytes, chance: random.Random) -> bytes:
    """JSON with a hostile value, key or text in it."""
    if chance.random() < 0.1:
        return spoil_bytes(data, chance)
    value, text = mutate_value(json.loads(data), chance)
    return json.dumps(value, indent=1).replace(f'"{MARK}"', text).encode("utf-8", "replace")


def spoil_lines(data: bytes, chance: random.Random) -> bytes:
    """JSON lines with one of them spoilt."""
    lines = data.splitlines() or [b"{}"]
    at = chance.randrange(len(lines))
    lines[at] = spoil_json(lines[at], chance).replace(b"\n", b" ")
    return b"\n".join(lines) + b"\n"


def spoil_yaml(data: bytes, chance: random.Random) -> bytes:
    """YAML with a hostile value, tag or anchor, or a bomb of aliases."""
    way = chance.random()
    if way < 0.1:
        return spoil_bytes(data, chance)
    if way < 0.15:
        rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
        rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
        return data + "\n".join(rows).encode()
    value, _ = mutate_value(yaml.safe_load(data), chance)
    text = yaml.safe_dump(value)
    return text.replace(MARK, chance.choice(YAML_TEXTS)).encode("utf-8", "replace")


def spoil_bytes(data: bytes, chance: random.Random) -> bytes:
    """Any file: bits flipped, cut, doubled, a block of zeros, a huge number somewhere, another file's beginning."""
    spoilt = bytearray(data)
    way = chance.randrange(7)
    at = chance.randrange(len(spoilt)) if spoilt else 0
    if way == 0:
        return bytes(spoilt[:at])
    if way == 1:
        return bytes(spoilt + spoilt[at:])
    if way == 2:
        spoilt[at : at + 64] = b"\0" * min(64, len(spoilt) - at)
    elif way == 3:
        number = chance.choice((2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1, 10**9))
        spoilt[at : at + 8] = struct.pack("<Q", number)[: len(spoilt) - at]
    elif way == 4:
        head = chance.choice(
            (b"\x80\x02", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"<html>", b"\xff\xd8\xff")
        )
        spoilt[: len(head)] = head
    else:
        for _ in range(chance.choice((1, 4, 32, 256))):
            if spoilt:
                spoilt[chance.randrange(len(spoilt))] ^= 1 << chance.randrange(8)
    return bytes(spoilt)


def spoil_safetensors(data: bytes, chance: random.Random) -> bytes:
    """A hostile header, or its length."""
    way = chance.random()
    if way < 0.3:
        return spoil_bytes(data, chance)
    (length,) = struct.unpack("<Q", data[:8])
    if way < 0.4:
        return struct.pack("<Q", chance.choice((0, 1, 2**40, 2**64 - 1, length + 1))) + data[8:]
    header = spoil_json(data[8 : 8 + length], chance)
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def spoil_npy(data: bytes, chance: random.Random) -> bytes:
    """A hostile header of an array."""
    if chance.random() < 0.3:
        return spoil_bytes(data, chance)
    length = int.from_bytes(data[8:10], "little")
    header = data[10 : 10 + length].decode("latin1")
    start, end = header.index("(", header.index("shape")), header.index(")")
    shape = chance.choice(
        (
            "(1000000000000,)",
            "(-1, 3)",
            "()",
            "(0,)",
            "(1, 2**40)",
            "(5,",
            "[3]",
            "(10**9, 10**9)",
            "('a',)",
            "(True,)",
        )
    )
    kinds = ("|O", "<f8", "<M8[s]", "|V100000", "<U9", "|S1000000000", "[('a','<f4')]", "x", "<c16")
    if chance.random() < 0.5:
        header = header[:start] + shape + header[end + 1 :]
    elif chance.random() < 0.7:
        before = header.index("'", header.index("descr") + 6)
        header = header[:before] + repr(chance.choice(kinds)) + header[header.index(",", before) :]
    else:
        header = chance.choice(
            ("{" * 5000, "{'a': 1}", "9" * 60_000, header.replace("False", "True"))
        )
    packed = header.encode("latin1")
    if len(packed) > 65_535:
        packed = packed[:65_535]
    version = chance.choice((1, 1, 1, 1, 2, 3, 9))
    return (
        data[:6]
        + bytes((version, 0))
        + struct.pack("<H", len(packed))
        + packed
        + data[10 + length :]
    )


def spoil_zip(data: bytes, chance: random.Random) -> bytes:
    """An archive with a member doubled, packed as a bomb, spoilt or away."""
    if chance.random() < 0.35:
        return spoil_bytes(data, chance)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    chosen = chance.choice(list(members))
    way = chance.choice(("double", "bomb", "spoil", "spoil", "away", "pickle", "name"))
    packed = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if way == "bomb" else zipfile.ZIP_STORED
    with zipfile.ZipFile(packed, "w", kind) as archive:
        for name, content in members.items():
            if name == chosen and way in ("spoil", "pickle"):
                content = spoil_bytes(content, chance)
            if name == chosen and way == "bomb":
                content = content[:128] + bytes(300_000_000)
            if name == chosen and way == "away":
                continue
            archive.writestr("../" + name if name == chosen and way == "name" else name, content)
        if way == "double":
            archive.writestr(f"{chosen} ", members[chosen])
            archive.filelist[-1].filename = chosen
    return packed.getvalue()


def spoil_png(data: bytes, chance: random.Random) -> bytes:
    """Another size or kind in the header, its check sum mended, or a chunk of text that unpacks to much."""
    way = chance.random()
    if way < 0.5:
        return spoil_bytes(data, chance)
    width, height = struct.unpack(">II", data[16:24])
    sides = (0, 1, 2, width, height, 65_535, 65_536, 2_000_000, 2**31 - 1, 2**32 - 1)
    about = struct.pack(">II", chance.choice(sides), chance.choice(sides))
    rest = bytes(
        (chance.choice((1, 8, 16)), chance.choice((0, 2, 3, 4, 6)), 0, 0, chance.choice((0, 1)))
    )
    header = b"IHDR" + about + (rest if way > 0.8 else data[24:29])
    chunk = b""
    if chance.random() < 0.2:
        body = b"zTXt" + b"a\0\0" + zlib.compress(bytes(50_000_000))
        chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + chunk + data[33:]


def spoil_jpeg(data: bytes, chance: random.Random) -> bytes:
    """Another size in the frame's header."""
    frame = data.find(b"\xff\xc0")
    if chance.random() < 0.6 or frame < 0:
        return spoil_bytes(data, chance)
    sides = struct.pack(">HH", chance.choice((0, 1, 65_535)), chance.choice((0, 1, 20_000, 65_535)))
    return data[: frame + 5] + sides + data[frame + 9 :]


SPOIL: dict[str, Mutate] = {
    "json": spoil_json,
    "jsonl": spoil_lines,
    "yaml": spoil_yaml,
    "safetensors": spoil_safetensors,
    "npy": spoil_npy,
    "npz": spoil_zip,
    "pth": spoil_zip,
    "png": spoil_png,
    "jpeg": spoil_jpeg,
    "answer": spoil_lines,
}
