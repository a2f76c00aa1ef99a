"""Models to measure, of random weights and known work: a chain of convolutions, a residual net, a transformer, digits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Graph:
    """Nodes and weights as they are put one after the other; `put` gives the name of what a node makes."""

    def __init__(self, seed: int) -> None:
        self.dice = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.held: list[onnx.TensorProto] = []

    def put(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, values: np.ndarray) -> str:
        name = f"held{len(self.held)}"
        self.held.append(numpy_helper.from_array(values, name))
        return name

    def weights(self, *shape: int) -> str:
        """Give random weights that keep what goes through them of about the same size."""
        inward = int(np.prod(shape[1:])) if len(shape) > 2 else shape[0]
        return self.constant((self.dice.standard_normal(shape) / np.sqrt(inward)).astype(np.float32))

    def write(self, path: Path, shape: Sequence[int | str], end: str, width: int) -> Path:
        given = helper.make_tensor_value_info("input", TensorProto.FLOAT, list(shape))
        made = helper.make_tensor_value_info(end, TensorProto.FLOAT, ["N", width])
        graph = helper.make_graph(self.nodes, "net", [given], [made], self.held)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save_model(model, path)
        return path

    def conv(self, name: str, inward: int, outward: int, *, stride: int = 1, side: int = 3) -> str:
        around = side // 2
        kernel = self.weights(outward, inward, side, side)
        return self.put("Conv", name, kernel, strides=[stride, stride], pads=[around] * 4)


def chain(path: Path, *, depth: int = 10, channels: int = 16, side: int = 16, seed: int = 0) -> Path:
    """Write convolutions of the same size one after the other: `depth` says how much work it is."""
    graph = Graph(seed)
    name = graph.put("Relu", graph.conv("input", channels, channels))
    for _ in range(depth - 1):
        name = graph.put("Relu", graph.conv(name, channels, channels))
    pooled = graph.put("Flatten", graph.put("GlobalAveragePool", name))
    return graph.write(path, ["N", channels, side, side], pooled, channels)


def residual(path: Path, *, width: int = 32, side: int = 64, seed: int = 0) -> Path:
    """Write a residual net as ResNet-18: a stem, four stages of two blocks each, every stage at half the side."""
    graph = Graph(seed)
    name = graph.put("Relu", graph.conv("input", 3, width, stride=2, side=7))
    inward = width
    for stage in range(4):
        outward = width * 2**stage
        for number in range(2):
            stride = 2 if stage and not number else 1
            inner = graph.put("Relu", graph.conv(name, inward, outward, stride=stride))
            inner = graph.conv(inner, outward, outward)
            if stride != 1 or inward != outward:
                name = graph.conv(name, inward, outward, stride=stride, side=1)
            name, inward = graph.put("Relu", graph.put("Add", inner, name)), outward
    pooled = graph.put("Flatten", graph.put("GlobalAveragePool", name))
    return graph.write(path, ["N", 3, side, side], graph.put("MatMul", pooled, graph.weights(inward, 10)), 10)


def transformer(
    path: Path, *, depth: int = 2, width: int = 192, heads: int = 4, length: int = 64, seed: int = 0
) -> Path:
    """Write blocks of attention and dense layers over a sequence of vectors."""
    graph = Graph(seed)
    name = "input"
    for _ in range(depth):
        name = graph.put("Add", name, _attention(graph, _normed(graph, name, width), width, heads, length))
        inner = graph.put("MatMul", _normed(graph, name, width), graph.weights(width, 4 * width))
        inner = graph.put("Relu", graph.put("Add", inner, graph.constant(np.zeros(4 * width, np.float32))))
        name = graph.put("Add", name, graph.put("MatMul", inner, graph.weights(4 * width, width)))
    return graph.write(path, ["N", length, width], graph.put("ReduceMean", name, axes=[1], keepdims=0), width)


def _normed(graph: Graph, name: str, width: int) -> str:
    ones, zeros = graph.constant(np.ones(width, np.float32)), graph.constant(np.zeros(width, np.float32))
    return graph.put("LayerNormalization", name, ones, zeros, axis=-1)


def _attention(graph: Graph, name: str, width: int, heads: int, length: int) -> str:
    apart = graph.constant(np.array([0, length, heads, width // heads], np.int64))
    parts = [graph.put("Reshape", graph.put("MatMul", name, graph.weights(width, width)), apart) for _ in "qkv"]
    query, key, value = (graph.put("Transpose", part, perm=[0, 2, 1, 3]) for part in parts)
    scores = graph.put("MatMul", query, graph.put("Transpose", key, perm=[0, 1, 3, 2]))
    scaled = graph.put("Mul", scores, graph.constant(np.array((width / heads) ** -0.5, np.float32)))
    mixed = graph.put("MatMul", graph.put("Softmax", scaled, axis=-1), value)
    whole = graph.constant(np.array([0, length, width], np.int64))
    joined = graph.put("Reshape", graph.put("Transpose", mixed, perm=[0, 2, 1, 3]), whole)
    return graph.put("MatMul", joined, graph.weights(width, width))


def digits(path: Path) -> Path:
    """Write the network of the demo: trained on real digits, a few microseconds a call."""
    from runbook.service.digits import write_model

    write_model(path)
    return path


SEARCHED: Mapping[str, Callable[[Path], Path]] = {
    "digits": digits,
    "chain": chain,
    "residual": residual,
    "transformer": transformer,
}
