"""Tracing a generator with the sizes of one example: what depends on sizes is known, what depends
on data is refused.

torch.fx records what a module does, but a value it follows has no shape, so a branch on a height, an
assertion or an `int(h / 2)` ends there. Here every value also has what it is for the example, held
as fake tensors (shape and type, no data): sizes become numbers where the code needs numbers and
stay part of the program elsewhere.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.passes.shape_prop import _extract_tensor_metadata

from edgegan.channels import rules
from edgegan.channels.program import evaluating
from edgegan.channels.surroundings import indexed_by_traces, quiet, register_einops, unchanged
from edgegan.errors import ConfigError

Untraceable = fx.proxy.TraceError
UNKNOWN = object()
MADE = "_tensor_constant"
FAILURES = (
    *(TypeError, ValueError, RuntimeError, NameError, AttributeError, AssertionError),
    *(IndexError, KeyError, NotImplementedError, Untraceable),
)
NUMBERS = (bool, int, float, str, type(None), torch.Size, torch.dtype, torch.device)
FIXED_PROPERTIES = {
    *("ndim", "dtype", "device", "layout", "requires_grad", "is_cuda", "is_sparse", "is_mps"),
    *("is_quantized", "is_nested"),
}


class TraceError(ConfigError):
    """A module that cannot be traced; `place` is where in its tree."""

    def __init__(self, message: str, place: str) -> None:
        super().__init__(message)
        self.place = place


class SizedProxy(fx.Proxy):
    """A traced value that turns into a number, a truth value or a loop where the example says
    what it is."""

    tracer: SizeTracer

    def __getattr__(self, name: str) -> Any:
        value = self.tracer.value_of(self)
        if isinstance(value, torch.Tensor) and name in FIXED_PROPERTIES:
            self.tracer.settled |= name == "device"
            return getattr(value, name)
        if name == "shape" and isinstance(value, torch.Tensor):
            return self.tracer.create_proxy("call_function", getattr, (self, name), {})
        return super().__getattr__(name)

    def __setitem__(self, index: Any, value: Any) -> None:
        self.tracer.create_proxy("call_function", operator.setitem, (self, index, value), {})

    def __int__(self) -> int:
        return int(self.tracer.number(self))

    def __index__(self) -> int:
        return operator.index(self.tracer.number(self))

    def __float__(self) -> float:
        return float(self.tracer.number(self))

    def __round__(self, digits: int | None = None) -> Any:
        return round(self.tracer.number(self), digits)

    def __len__(self) -> int:
        value = self.tracer.value_of(self)
        if not hasattr(value, "__len__"):
            raise Untraceable("its length is not known")
        return len(value)


class SizeTracer(fx.Tracer):
    """Stops at every layer that has a rule, also at a user's subclass that keeps torch's forward.

    `numbers` makes every size a number at once instead of a part of the program. `settled` says
    that a size became a number, or a branch was taken by one, so that the program is that of this
    example's sizes.
    """

    def __init__(self, example: tuple[torch.Tensor, ...], numbers: bool = False) -> None:
        super().__init__()
        self.numbers = numbers
        self.proxy_buffer_attributes = True
        self.example = example
        self.mode = FakeTensorMode(allow_non_fake_inputs=True)
        self.values: dict[fx.Node, Any] = {}
        self.given = 0
        self.place = ""
        self.copies: dict[int, tuple[torch.Tensor, fx.Proxy]] = {}
        self.settled = False
        self.running = False

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """See fx.Tracer."""
        return SizedProxy(node, self)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """See fx.Tracer."""
        known = type(m).forward in rules.KNOWN_FORWARDS
        return known or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        """Notes the module that tracing is in, for the message when it stops there; a layer that
        is made in a forward is followed if it has no weights."""
        if self.running:
            return forward(*args, **kwargs)
        try:
            place = self.path_of_module(m)
        except NameError:
            if next(iter(m.state_dict()), None) is not None:
                raise Untraceable(
                    f"its forward makes a {type(m).__name__} with weights, which no file can hold; "
                    "make it in __init__"
                ) from None
            return forward(*args, **kwargs)
        before, self.place = self.place, place
        result = super().call_module(m, forward, args, kwargs)
        self.place = before
        return result

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """See fx.Tracer; a layer that runs on the example has its own weights."""
        if self.running:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def create_proxy(
        self,
        kind: str,
        target: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        name: str | None = None,
        type_expr: Any | None = None,
        proxy_factory_fn: Callable[[fx.Node], fx.Proxy] | None = None,
    ) -> Any:
        """A traced value with what it is for the example; arguments that the example leaves out
        have their defaults."""
        if kind == "placeholder" and self.given == len(self.example):
            return args[0] if args else {} if str(target).startswith("**") else ()
        if target == "__setitem__":
            kind, target = "call_function", operator.setitem
        writes = in_place(kind, target)
        if writes and is_made(args[0]):
            copied = self.create_proxy("call_method", "clone", (args[0],), {})
            self.copies[id(args[0])] = args[0], copied
        proxy = super().create_proxy(kind, target, args, kwargs, name, type_expr, proxy_factory_fn)
        if writes and target is not operator.setitem:
            written = self.copies[id(args[0])][1] if is_made(args[0]) else args[0]
            if isinstance(written, fx.Proxy):
                written.node = proxy.node
        if kind == "placeholder":
            self.values[proxy.node] = self.mode.from_tensor(self.example[self.given])
            self.given += 1
            return proxy
        self.values[proxy.node] = self.run(proxy.node)
        if self.numbers and self.is_size(proxy.node) and target is not operator.setitem:
            self.settled = True
            return self.values[proxy.node]
        return proxy

    def create_arg(self, a: Any) -> Any:
        """See fx.Tracer; numbers of NumPy are plain ones, and of a tensor that the forward made
        and wrote into there is a copy for every run."""
        if id(a) in self.copies:
            return self.copies[id(a)][1].node
        return super().create_arg(a.item() if isinstance(a, np.generic) else a)

    def run(self, node: fx.Node) -> Any:
        """What a node makes of the example, in evaluation mode; UNKNOWN where it cannot be told
        without data."""
        if any(self.node_value(each) is UNKNOWN for each in node.all_input_nodes):
            return UNKNOWN
        positional, keywords = fx.map_arg((node.args, node.kwargs), self.node_value)
        self.running = True
        try:
            if node.op == "get_attr":
                return self.stored(str(node.target))
            with torch.no_grad(), self.mode:
                if node.op == "call_module":
                    layer = self.root.get_submodule(str(node.target))
                    with evaluating(layer):
                        return layer(*positional, **keywords)
                if node.op == "call_method":
                    return getattr(positional[0], str(node.target))(*positional[1:], **keywords)
                return node.target(*positional, **keywords)  # type: ignore[operator]
        except (RuntimeError, TypeError, ValueError, NotImplementedError, AttributeError):
            return UNKNOWN
        finally:
            self.running = False

    def node_value(self, node: fx.Node) -> Any:
        """The value of a node; parameters are nodes that tracing makes by itself."""
        if node not in self.values:
            self.values[node] = self.run(node)
        return self.values[node]

    def stored(self, name: str) -> Any:
        """A parameter or buffer."""
        owner, _, leaf = name.rpartition(".")
        tensor = getattr(self.root.get_submodule(owner), leaf)
        if isinstance(tensor, fx.Proxy):
            return self.value_of(tensor)
        return self.mode.from_tensor(tensor)

    def value_of(self, proxy: fx.Proxy) -> Any:
        """What a traced value is for the example."""
        return self.node_value(proxy.node)

    def number(self, proxy: fx.Proxy) -> Any:
        """A size as a number; raises TraceError for data."""
        value = self.value_of(proxy)
        if value is UNKNOWN or isinstance(value, torch.Tensor):
            raise Untraceable("it reads a number that depends on the picture")
        self.settled = True
        return value

    def to_bool(self, obj: fx.Proxy) -> bool:
        """See fx.Tracer."""
        value = self.value_of(obj)
        if value is UNKNOWN or isinstance(value, torch.Tensor):
            raise Untraceable("it branches on values that depend on the picture")
        self.settled = True
        return bool(value)

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        """See fx.Tracer."""
        value = self.value_of(obj)
        if not hasattr(value, "__len__"):
            return super().iter(obj)
        return iter([obj[index] for index in range(len(value))])  # type: ignore[index]

    def note_shapes(self) -> fx.Node | None:
        """Writes the shapes of tensors to the nodes, as ShapeProp does; returns the first node
        whose value is not known."""
        nodes = [node for node in self.graph.nodes if node.op != "output"]
        for node in nodes:
            found: list[Any] = []

            def shape(value: Any, found: list[Any] = found) -> Any:
                if isinstance(value, torch.Tensor):
                    found.append(value)
                    return _extract_tensor_metadata(value)
                return value

            meta = fx.node.map_aggregate(self.node_value(node), shape)
            if found:
                node.meta["tensor_meta"] = meta
        return next((node for node in nodes if self.node_value(node) is UNKNOWN), None)

    def drop_sizes(self) -> None:
        """Takes out sizes that nothing uses any more."""
        for node in reversed(list(self.graph.nodes)):
            spare = not node.users and node.op in ("call_function", "call_method")
            if spare and node.target is not operator.setitem and self.is_size(node):
                self.graph.erase_node(node)

    def is_size(self, node: fx.Node) -> bool:
        """Whether a node holds no tensor."""
        value = self.node_value(node)
        return isinstance(value, NUMBERS) and value is not UNKNOWN


def in_place(kind: str, target: Any) -> bool:
    """Whether a call writes into its first argument, as `x.mul_(2)` does: what reads that later
    reads the result."""
    name = target if isinstance(target, str) else getattr(target, "__name__", "")
    called = kind in ("call_method", "call_function")
    return called and ((name.endswith("_") and not name.endswith("__")) or name == "setitem")


def is_made(value: Any) -> bool:
    """Whether this is a tensor that the forward itself made."""
    return isinstance(value, torch.Tensor) and not isinstance(value, nn.Parameter)


def symbolic_trace(
    module: nn.Module, example: torch.Tensor | tuple[torch.Tensor, ...]
) -> fx.GraphModule:
    """The fx trace on an example, sharing the module's layers; `meta["settled"]` of the result
    says that it holds for the example's sizes only.

    Sizes stay part of the program where the forward allows it; a forward that makes tensors or
    arrays of sizes gets them as numbers. Raises ConfigError naming the module that cannot be traced
    and why.
    """
    examples = example if isinstance(example, tuple) else (example,)
    place = next((each.device for each in module.parameters()), examples[0].device)
    examples = tuple(each.to(place) for each in examples)
    register_einops()
    try:
        tracer = SizeTracer(examples)
        return traced(module, tracer)
    except FAILURES as error:
        first, where = error, tracer.place
    try:
        return traced(module, SizeTracer(examples, numbers=True))
    except FAILURES:
        kind = type(module).__name__
        named = f"'{where}' of {kind}" if where else kind
        raise TraceError(
            f"{named} cannot be traced ({str(first) or type(first).__name__}); its forward must "
            "do the same for every picture of one size",
            where,
        ) from first


def traced(module: nn.Module, tracer: SizeTracer) -> fx.GraphModule:
    """The program that a tracer makes of a module, which is left as it was."""
    with unchanged(module), quiet(), indexed_by_traces():
        graph = tracer.trace(module)
        tracer.drop_sizes()
        stopped = tracer.note_shapes()
        made = {name: each for name, each in vars(module).items() if name.startswith(MADE)}
    vars(module).update(made)
    program = fx.GraphModule(module, graph, type(module).__name__)
    for name in made:
        del vars(module)[name]
    program.meta.update(settled=tracer.settled, stopped=stopped)
    return program


def for_any_batch(program: fx.GraphModule, example: torch.Tensor) -> fx.GraphModule:
    """A program that takes several images at once; raises ConfigError where its forward states
    that there is one."""
    if not program.meta["settled"]:
        return program
    place = next((each.device for each in program.parameters()), example.device)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.no_grad():
        two = mode.from_tensor(example[:1].to(place).repeat(2, *[1] * (example.dim() - 1)))
        try:
            with evaluating(program):
                made = program(two)
            several = len(made) == 2
        except (RuntimeError, TypeError, ValueError):
            several = False
    if not several:
        raise ConfigError(
            "your generator makes numbers of its batch, so that its layers cannot be followed for "
            "several images at once; use --method uniform or gan-compression"
        )
    return program
