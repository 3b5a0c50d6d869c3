"""What a forward computes of weights alone (tables of positions, masks, scaled kernels) is computed once, before
conversion: litert-torch's own folding of indexed weights gives wrong tables now and then (0.10.0)."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from edgegan.channels.tracing import in_place

RANDOM = (
    "rand",
    "normal",
    "bernoulli",
    "dropout",
    "multinomial",
    "poisson",
    "uniform",
    "exponential",
)
LARGEST = 1 << 20  # elements, unless what it is made of is as large


def compute_expressions(graph: fx.GraphModule) -> None:
    """Replaces every tensor that depends on no input by a buffer of its value."""
    found = Expressions(graph).find()
    for index, (node, value) in enumerate(found.items()):
        name = f"_computed{index}"
        graph.register_buffer(name, value.detach().clone().contiguous())
        with graph.graph.inserting_before(node):
            known = graph.graph.get_attr(name)
        node.replace_all_uses_with(known)
    if found:
        graph.graph.eliminate_dead_code()
        graph.recompile()


class Expressions(fx.Interpreter):
    """Runs only what depends on no input."""

    def find(self) -> dict[fx.Node, torch.Tensor]:
        """{node whose value something with an input reads: the value}."""
        known: dict[fx.Node, Any] = {}
        with torch.no_grad():
            for node in self.module.graph.nodes:  # type: ignore[union-attr]
                if node.op == "get_attr":
                    known[node] = self.run_known(node, known)
                elif self.is_expression(node, known):
                    value = self.run_known(node, known)
                    if is_small(value, [known[each] for each in node.all_input_nodes]):
                        known[node] = value
        return {
            node: value
            for node, value in known.items()
            if node.op != "get_attr"
            and isinstance(value, torch.Tensor)
            and any(user not in known for user in node.users)
        }

    def is_expression(self, node: fx.Node, known: dict[fx.Node, Any]) -> bool:
        """Whether a call reads known values only, makes the same every time, and neither writes into one nor is written
        into."""
        if node.op not in ("call_function", "call_method") or not node.all_input_nodes:
            return False
        name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
        if any(word in name for word in RANDOM):
            return False
        writers = [node, *node.users]
        return all(each in known for each in node.all_input_nodes) and not any(
            in_place(each.op, each.target) for each in writers
        )

    def run_known(self, node: fx.Node, known: dict[fx.Node, Any]) -> Any:
        """The value of a node."""
        self.env = known
        return self.run_node(node)


def is_small(value: Any, sources: list[Any]) -> bool:
    """Whether keeping a value instead of what it is made of leaves a file of about the same size."""
    if not isinstance(value, torch.Tensor):
        return True
    made_of = sum(each.numel() for each in sources if isinstance(each, torch.Tensor))
    return value.numel() <= max(LARGEST, made_of)
