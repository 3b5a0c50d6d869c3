"""Whether ONNX Runtime's products of bytes are exact here: x86 without VNNI adds pairs in 16 bits, which saturates."""

from __future__ import annotations

import functools

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper


@functools.cache
def are_exact() -> bool:
    """Whether 64 products of the largest values add up."""
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["c"])],
        "products",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [8, 64])],
        [helper.make_tensor_value_info("c", TensorProto.INT32, [8, 8])],
        [numpy_helper.from_array(np.full((64, 8), 127, np.int8), "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    made = session.run(None, {"a": np.full((8, 64), 255, np.uint8)})[0]
    return bool((made == 255 * 127 * 64).all())


def need_exact() -> None:
    """Skips the test where they are not."""
    if not are_exact():
        pytest.skip("ONNX Runtime's sums of int8 products saturate on this CPU (x86 without VNNI)")
