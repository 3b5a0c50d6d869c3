"""What a classes.dex defines and refers to: the id tables and class data of the dex format."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

MethodKey = tuple[str, str, tuple[str, ...]]


@dataclass(frozen=True)
class Dex:
    """Types are descriptors such as Landroid/app/Activity; or I; methods are (class, name, argument types)."""

    superclasses: dict[str, str]
    defined: set[MethodKey]
    methods: list[tuple[MethodKey, str]]
    fields: list[tuple[str, str, str]]


def uleb128(data: bytes, offset: int) -> tuple[int, int]:
    """A variable-length number and the offset after it."""
    value = shift = 0
    while True:
        byte = data[offset]
        offset += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, offset


def read(path: Path) -> Dex:
    """Parses a dex file; raises ValueError when it is not one."""
    data = path.read_bytes()
    if data[:4] != b"dex\n":
        raise ValueError(f"{path} is not a dex file")
    sizes = struct.unpack_from("<12I", data, 0x38)
    tables = dict(
        zip(
            ("string", "type", "proto", "field", "method", "class"),
            zip(sizes[::2], sizes[1::2], strict=True),
            strict=True,
        )
    )

    def rows(table: str, layout: str) -> list[tuple[int, ...]]:
        count, start = tables[table]
        width = struct.calcsize(layout)
        return [struct.unpack_from(layout, data, start + width * i) for i in range(count)]

    strings = []
    for (offset,) in rows("string", "<I"):
        _, begin = uleb128(data, offset)
        strings.append(data[begin : data.index(0, begin)].decode("utf-8", "replace"))
    types = [strings[index] for (index,) in rows("type", "<I")]
    prototypes = []
    for _, result, offset in rows("proto", "<3I"):
        count = struct.unpack_from("<I", data, offset)[0] if offset else 0
        arguments = struct.unpack_from(f"<{count}H", data, offset + 4) if count else ()
        prototypes.append((tuple(types[index] for index in arguments), types[result]))
    methods = []
    for owner, prototype, name in rows("method", "<HHI"):
        arguments_, result_ = prototypes[prototype]
        methods.append(((types[owner], strings[name], arguments_), result_))
    fields = [(types[o], strings[n], types[t]) for o, t, n in rows("field", "<HHI")]
    classes = rows("class", "<8I")
    defined = {
        methods[index][0] for row in classes if row[6] for index in defined_methods(data, row[6])
    }
    return Dex({types[row[0]]: types[row[2]] for row in classes}, defined, methods, fields)


def defined_methods(data: bytes, offset: int) -> list[int]:
    """Method indices in one class_data_item."""
    counts = []
    for _ in range(4):
        count, offset = uleb128(data, offset)
        counts.append(count)
    for _ in range(counts[0] + counts[1]):
        _, offset = uleb128(data, offset)
        _, offset = uleb128(data, offset)
    found = []
    for count in counts[2:]:
        index = 0
        for _ in range(count):
            step, offset = uleb128(data, offset)
            _, offset = uleb128(data, offset)
            _, offset = uleb128(data, offset)
            index += step
            found.append(index)
    return found
