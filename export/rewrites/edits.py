"""What every rewrite needs: finding, replacing, inserting and removing layers in a traced generator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.passes.shape_prop import ShapeProp

Convolution = (nn.Conv2d, nn.ConvTranspose2d)
AnyConvolution = nn.Conv2d | nn.ConvTranspose2d
Pass = Callable[[fx.GraphModule, fx.Node], bool]


@dataclass(frozen=True)
class Rewrite:
    """One change made to the graph; `layer` is the module's dotted name."""

    rewrite: str
    layer: str

    def as_dict(self) -> dict[str, str]:
        """For export.json."""
        return asdict(self)


def layer_of(graph: fx.GraphModule, node: object) -> nn.Module | None:
    """The module a node calls, or None."""
    if not isinstance(node, fx.Node) or node.op != "call_module":
        return None
    return graph.get_submodule(str(node.target))


def source_of(node: fx.Node) -> fx.Node:
    """The node a one-input layer reads; the first of several."""
    source = node.args[0] if node.args else node.kwargs.get("input", node.all_input_nodes[0])
    assert isinstance(source, fx.Node)
    return source


def only_user(node: fx.Node) -> fx.Node | None:
    """The one node that uses this one's output, or None."""
    return next(iter(node.users)) if len(node.users) == 1 else None


def shape_of(node: fx.Node) -> torch.Size:
    """The shape of a node's output, as last propagated."""
    shape = node.meta["tensor_meta"].shape
    assert isinstance(shape, torch.Size)
    return shape


def propagate_shapes(graph: fx.GraphModule, example: torch.Tensor) -> None:
    """Notes the shape of every node's output; nothing is computed."""
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        ShapeProp(graph, fake_mode=mode).propagate(mode.from_tensor(example))


def replace_layer(graph: fx.GraphModule, node: fx.Node, layer: nn.Module) -> None:
    """Puts another module at a node; every node has a module of its own."""
    set_layer(graph, str(node.target), layer.eval())


def set_layer(graph: fx.GraphModule, name: str, layer: nn.Module) -> None:
    """Stores a module under a dotted name."""
    parent, _, last = name.rpartition(".")
    graph.get_submodule(parent).add_module(last, layer)


def insert_layer(graph: fx.GraphModule, after: fx.Node, name: str, layer: nn.Module) -> fx.Node:
    """Adds a layer that reads `after` under a dotted name; nobody reads it yet."""
    set_layer(graph, name, layer.eval())
    with graph.graph.inserting_after(after):
        return graph.graph.call_module(name, (after,))


def remove_node(node: fx.Node) -> None:
    """Takes a one-input node out of the graph."""
    node.replace_all_uses_with(source_of(node))
    node.graph.erase_node(node)


def is_plain(conv: nn.Module | None) -> bool:
    """Whether a module is a dense, undilated convolution padded with zeros by numbers, or a transposed one."""
    return (
        isinstance(conv, Convolution)
        and conv.groups == 1
        and conv.dilation == (1, 1)
        and conv.padding_mode == "zeros"
        and not isinstance(conv.padding, str)
    )


def is_unpadded(conv: nn.Module | None) -> bool:
    """Whether a module is a convolution without padding."""
    return isinstance(conv, nn.Conv2d) and conv.padding == (0, 0)


def is_pointwise(conv: nn.Module | None) -> bool:
    """Whether a module is an unpadded dense 1x1 convolution of stride 1."""
    return (
        isinstance(conv, nn.Conv2d)
        and is_plain(conv)
        and is_unpadded(conv)
        and conv.kernel_size == conv.stride == (1, 1)
    )


def make_convolution(
    weight: torch.Tensor, bias: torch.Tensor | None, **options: tuple[int, int]
) -> nn.Conv2d:
    """A dense convolution of this weight (out, in, h, w) and bias (out)."""
    outputs, inputs, height, width = weight.shape
    with torch.device("meta"):
        conv = nn.Conv2d(
            inputs,
            outputs,
            (height, width),
            bias=bias is not None,
            **options,  # type: ignore[arg-type]
        )
    conv.weight = nn.Parameter(weight.detach().float().contiguous())
    if bias is not None:
        conv.bias = nn.Parameter(bias.detach().float().clone())
    return conv
