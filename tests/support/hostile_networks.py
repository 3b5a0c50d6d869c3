"""Networks that do what a network may not, made from seeds: TorchScript and ONNX that write, never end, take all
memory, lie about themselves, or are damaged. A maker takes (chance, file to write, file that may not be touched)."""

from __future__ import annotations

import importlib.util
import random
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper

Maker = Callable[[random.Random, Path, Path], None]
Members = list[tuple[str, bytes]]
HEAD = "import torch\nfrom typing import Dict, List, Tuple\n\n\nclass Network(torch.nn.Module):\n"
FORWARD = "    def forward(self, x: torch.Tensor) -> torch.Tensor:\n"
MEAN = "        return x.mean([2, 3])\n"
STATE = (
    "    @torch.jit.export\n    def __getstate__(self) -> int:\n        return 3\n"
    "    @torch.jit.export\n    def __setstate__(self, s: int) -> None:\n{}"
    "        self.training = False\n"
)


def script(path: Path, source: str) -> None:
    """A module written in Python, compiled and saved."""
    code = path.with_suffix(".py")
    code.write_text(HEAD + source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(f"hostile_{path.stem}", code)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        save(module, path)
    finally:
        del sys.modules[spec.name]
        code.unlink()


def save(module: ModuleType, path: Path) -> None:
    """The module's Network as an archive."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(module.Network()).save(str(path))


def forward(body: str, result: str = "torch.Tensor") -> Maker:
    """A network with this body of forward; {victim} stands for the file that it may not touch."""

    def make(chance: random.Random, path: Path, victim: Path) -> None:
        head = FORWARD.replace("-> torch.Tensor", f"-> {result}")
        filled = body.replace("{victim}", str(victim)).replace("{n}", str(chance.randint(1, 9)))
        script(path, head + filled)

    return make


def at_load(body: str) -> Maker:
    """A network that runs this while it is only loaded."""

    def make(_: random.Random, path: Path, victim: Path) -> None:
        script(path, STATE.format(body.replace("{victim}", str(victim))) + FORWARD + MEAN)

    return make


def rewritten(edit: Callable[[random.Random, Members, Path], Members]) -> Maker:
    """An honest network whose archive is written anew, edited."""

    def make(chance: random.Random, path: Path, victim: Path) -> None:
        script(path, FORWARD + MEAN)
        with zipfile.ZipFile(path) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
        with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # two members of one name
            for name, data in edit(chance, members, victim):
                archive.writestr(name, data)

    return make


def in_code(change: Callable[[random.Random, str, Path], str]) -> Maker:
    """An honest network whose code is changed by hand."""

    def edit(chance: random.Random, members: Members, victim: Path) -> Members:
        return [
            (name, change(chance, data.decode(), victim).encode() if is_code(name) else data)
            for name, data in members
        ]

    return rewritten(edit)


def is_code(name: str) -> bool:
    return name.endswith(".py")


def evil(text: str, victim: Path, call: str = "torch.save") -> str:
    """The code of an honest network, which also writes a file."""
    return text.replace("    return", f'    {call}(x, "{victim}")\n    return')


def twice(change_case: bool) -> Maker:
    """The code is there twice: what a reader of the list sees is honest."""

    def edit(_: random.Random, members: Members, victim: Path) -> Members:
        found = []
        for name, data in members:
            if is_code(name):
                bad = (evil(data.decode(), victim).encode(), data)
                other = name.replace("code/", "CODE/") if change_case else name
                found += [(other, bad[0]), (name, bad[1])]
            else:
                found.append((name, data))
        return found

    return rewritten(edit)


def more(name: str, size: int = 8) -> Maker:
    """One more member of this name."""
    return rewritten(lambda _, members, __: [*members, (name, b"\0" * size)])


def damaged(chance: random.Random, path: Path, _: Path) -> None:
    """A few bytes changed, or the end missing."""
    script(path, FORWARD + MEAN)
    data = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 4, 32))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data[: len(data) - chance.choice((0, 0, 1, 500))])


TORCHSCRIPT: dict[str, Maker] = {
    "writes": forward("        torch.save(x, '{victim}')\n" + MEAN),
    "writes at load": at_load("        torch.save(s, '{victim}')\n"),
    "maps a file": forward("        return torch.from_file('{victim}', True, 4{n}) + x.mean()\n"),
    "writes by its other name": in_code(lambda _, text, v: evil(text, v, "ops.aten.save")),
    "writes with a blank": in_code(lambda _, text, v: evil(text, v, "torch . save")),
    "two of a name": twice(change_case=False),
    "two but for case": twice(change_case=True),
    "leaves its folder": more("../../../../../../tmp/escaped"),
    "absolute": more("/tmp/escaped"),
    "bomb": more("archive/zeros", 1 << 20),
    "never ends": forward(
        "        n = 0\n        while x.numel() > 0:\n            n += 1\n            x = x + n\n"
        + MEAN
    ),
    "never ends at load": at_load("        while s >= 0:\n            s = (s + 1) % 7\n"),
    "all memory": forward("        return torch.zeros([1000000000000]) + x.mean()\n"),
    "more and more memory": forward(
        "        kept: List[torch.Tensor] = []\n        while len(kept) < 1000000:\n"
        "            kept.append(x.mean() + torch.ones([10000000]))\n"
        "        return torch.cat(kept)\n"
    ),
    "large answer": forward("        return x.mean() + torch.zeros([x.size(0), 300000000])\n"),
    "prints": forward(
        "        for i in range(2000):\n            print('{n} \\x1b]0;owned\\x07')\n" + MEAN
    ),
    "prints for ever": forward("        while x.numel() > 0:\n            print(x)\n" + MEAN),
    "a tuple": forward("        return x, x\n", "Tuple[torch.Tensor, torch.Tensor]"),
    "a string": forward("        return '{n}'\n", "str"),
    "a number": forward("        return x.sum()\n"),
    "one row": forward("        return x.mean([2, 3])[:1]\n"),
    "complex": forward("        return torch.complex(x, x).mean([2, 3])\n"),
    "not a number": forward("        return x.mean([2, 3]) / 0\n"),
    "raises": forward("        raise RuntimeError('Permission denied {n}')\n"),
    "deep": in_code(lambda c, t, _: t.replace("return ", "return " + "(" * c.choice((90, 90_000)))),
    "unknown operation": in_code(lambda _, text, __: text.replace("torch.mean", "ops.unknown.run")),
    "no sense": in_code(lambda c, text, _: "".join(c.sample(text, len(text)))),
    "damaged": damaged,
}


def value(name: str, shape: list[Any] | None, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def constant(name: str, numbers: Any, kind: type = np.int64) -> Any:
    return numpy_helper.from_array(np.array(numbers, kind), name)


def graph(nodes: list[Any], constants: list[Any], result: Any = None, **extra: Any) -> Any:
    """A model from picture x to y; m is the mean of x over its sides."""
    mean = helper.make_node("ReduceMean", ["x"], ["m"], axes=[2, 3], keepdims=0)
    made = helper.make_graph(
        [mean, *nodes],
        "g",
        [value("x", ["n", 3, "h", "w"])],
        [result or value("y", None)],
        constants,
    )
    opsets = [helper.make_opsetid("", 17), *extra.pop("opsets", [])]
    model = helper.make_model(made, opset_imports=opsets, **extra)
    model.ir_version = 9
    return model


def loop(times: int, *, scan: bool = False, start: str = "m") -> Any:
    """A Loop of many steps; with `scan` it keeps what each step made."""
    nodes = [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Identity", ["a"], ["b"])]
    outputs = [value("d", [], TensorProto.BOOL), value("b", None)]
    names = ["y"]
    if scan:
        nodes.append(helper.make_node("Identity", ["a"], ["k"]))
        outputs.append(value("k", None))
        names = ["z", "y"]
    inputs = [value("i", [], TensorProto.INT64), value("c", [], TensorProto.BOOL), value("a", None)]
    body = helper.make_graph(nodes, "b", inputs, outputs)
    node = helper.make_node("Loop", ["t", "k0", start], names, body=body)
    return graph(
        [node],
        [constant("t", times), constant("k0", True, np.bool_), constant("s", 1.0, np.float32)],
    )


def simple(kind: str, inputs: list[str], constants: list[Any], **attributes: Any) -> Any:
    """One operation."""
    return graph([helper.make_node(kind, inputs, ["y"], **attributes)], constants)


def laughs(depth: int) -> Any:
    """Functions of functions: 2 to the power of `depth` operations in a few lines."""
    functions = []
    for level in range(depth):
        domain, inner = ("", "Identity") if level == 0 else ("f", f"f{level - 1}")
        nodes = [helper.make_node(inner, ["a"], ["b"], domain=domain)]
        nodes.append(helper.make_node(inner, ["b"], ["c"], domain=domain))
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
        functions.append(helper.make_function("f", f"f{level}", ["a"], ["c"], nodes, opsets))
    node = helper.make_node(f"f{depth - 1}", ["m"], ["y"], domain="f")
    return graph([node], [], functions=functions, opsets=[helper.make_opsetid("f", 1)])


def nested(depth: int) -> Any:
    """If in If in If."""
    inner = helper.make_node("Identity", ["m"], ["y0"])
    for level in range(1, depth):
        body = helper.make_graph([inner], f"g{level}", [], [value(f"y{level - 1}", None)])
        inner = helper.make_node("If", ["yes"], [f"y{level}"], then_branch=body, else_branch=body)
        if body.ByteSize() > 1 << 20:
            break
    body = helper.make_graph([inner], "top", [], [value(inner.output[0], None)])
    node = helper.make_node("If", ["yes"], ["y"], then_branch=body, else_branch=body)
    return graph([node], [constant("yes", True, np.bool_)])


def external(where: str) -> Any:
    """Weights that are said to be in another file."""
    weights = constant("w", np.zeros(4), np.float32)
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, text in (("location", where), ("offset", "0"), ("length", "16")):
        entry = weights.external_data.add()
        entry.key, entry.value = key, text
    return graph(
        [helper.make_node("Concat", ["w0", "w"], ["y"], axis=0)],
        [weights, constant("w0", [1.0], np.float32)],
    )


def flipped(chance: random.Random) -> bytes:
    """A good model with a few bytes changed."""
    data = bytearray(simple("Identity", ["m"], []).SerializeToString())
    for _ in range(chance.choice((1, 4, 16))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


MODELS: dict[str, Callable[[random.Random, Path], Any]] = {
    "loop": lambda c, _: loop(2 ** c.randint(50, 62)),
    "loop at load": lambda c, _: loop(2 ** c.randint(50, 62), start="s"),
    "loop that keeps": lambda _, __: loop(2**40, scan=True),
    "all memory": lambda c, _: simple(
        "ConstantOfShape", ["s"], [constant("s", [10 ** c.randint(11, 14)])]
    ),
    "expanded": lambda _, __: simple("Expand", ["m", "s"], [constant("s", [10**6, 10**6, 1])]),
    "tiled": lambda _, __: simple("Tile", ["m", "s"], [constant("s", [10**6, 10**6])]),
    "range": lambda _, __: simple(
        "Range", ["a", "b", "c"], [constant("a", 0), constant("b", 2**60), constant("c", 1)]
    ),
    "outside": lambda _, victim: external(f"../../../../../../../..{victim}"),
    "absolute": lambda _, victim: external(str(victim)),
    "device": lambda _, __: external("/dev/zero"),
    "unknown operation": lambda _, __: graph(
        [helper.make_node("Run", ["m"], ["y"], domain="evil")],
        [],
        opsets=[helper.make_opsetid("evil", 1)],
    ),
    "functions of functions": lambda c, _: laughs(c.randint(24, 40)),
    "deep": lambda c, _: nested(c.choice((12, 14))),
    "a string": lambda _, __: graph(
        [helper.make_node("Identity", ["t"], ["y"])],
        [helper.make_tensor("t", TensorProto.STRING, [1], [b"\x1b]0;owned\x07"])],
        value("y", [1], TensorProto.STRING),
    ),
    "a number": lambda _, __: simple("ReduceSum", ["x"], [], keepdims=0),
    "a sequence": lambda _, __: graph(
        [helper.make_node("SequenceConstruct", ["m", "m"], ["y"])],
        [],
        helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None),
    ),
    "another size": lambda _, __: simple(
        "Gemm", ["m", "w"], [constant("w", np.zeros((7, 7)), np.float32)]
    ),
    "flipped": lambda chance, _: flipped(chance),
}


def onnx_file(build: Callable[[random.Random, Path], Any]) -> Maker:
    """A model written as a file."""

    def make(chance: random.Random, path: Path, victim: Path) -> None:
        made = build(chance, victim)
        path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())

    return make


ONNX: dict[str, Maker] = {name: onnx_file(build) for name, build in MODELS.items()}
KINDS = [
    *((".pt", name, maker) for name, maker in TORCHSCRIPT.items()),
    *((".onnx", name, maker) for name, maker in ONNX.items()),
]


def make(seed: int, folder: Path, victim: Path) -> tuple[str, Path]:
    """The network of a seed: its kind in words, and its file."""
    suffix, name, maker = KINDS[seed % len(KINDS)]
    return f"{suffix[1:]} {name}", write(maker, seed, folder / f"network{seed}{suffix}", victim)


def write(maker: Maker, seed: int, path: Path, victim: Path) -> Path:
    """A maker's network for a seed."""
    maker(random.Random(seed), path, victim)
    return path
