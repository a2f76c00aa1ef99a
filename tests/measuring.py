"""Small real models to measure: dense and convolutional ones, with random weights, written as ONNX."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

QUICK = {"rounds": 6, "starts": 2, "block": "1ms", "plot": False}


def write_mlp(
    path: Path, *, width: int = 32, depth: int = 2, batch: int | str = "N", side: int = 8, seed: int = 0
) -> Path:
    """Write dense layers over images of one channel."""
    generator = np.random.default_rng(seed)
    sizes = [side * side, *[width] * depth, 10]
    nodes, weights = [helper.make_node("Flatten", ["image"], ["x0"])], []
    for number, (rows, columns) in enumerate(pairwise(sizes)):
        values = generator.standard_normal((rows, columns)).astype(np.float32) / np.sqrt(rows)
        weights.append(numpy_helper.from_array(values.astype(np.float32), f"w{number}"))
        nodes.append(helper.make_node("MatMul", [f"x{number}", f"w{number}"], [f"y{number}"]))
        last = number == len(sizes) - 2
        nodes.append(helper.make_node("Identity" if last else "Relu", [f"y{number}"], [f"x{number + 1}"]))
    return _save(path, nodes, weights, [batch, 1, side, side], [batch, 10], f"x{len(sizes) - 1}")


def write_conv(path: Path, *, channels: int = 16, depth: int = 3, side: int = 16, seed: int = 0) -> Path:
    """Write a small convolutional net over images of three channels."""
    generator = np.random.default_rng(seed)
    nodes, weights, before, name = [], [], 3, "image"
    for number in range(depth):
        values = generator.standard_normal((channels, before, 3, 3)).astype(np.float32) / np.sqrt(before * 9)
        weights.append(numpy_helper.from_array(values.astype(np.float32), f"k{number}"))
        nodes.append(helper.make_node("Conv", [name, f"k{number}"], [f"c{number}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{number}"], [f"r{number}"]))
        before, name = channels, f"r{number}"
    last = generator.standard_normal((channels, 10)).astype(np.float32)
    weights.append(numpy_helper.from_array(last, "head"))
    nodes += [
        helper.make_node("GlobalAveragePool", [name], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "head"], ["scores"]),
    ]
    return _save(path, nodes, weights, ["N", 3, side, side], ["N", 10], "scores")


def _save(path, nodes, weights, shape, result, name) -> Path:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
    scores = helper.make_tensor_value_info(name, TensorProto.FLOAT, result)
    graph = helper.make_graph(nodes, "net", [image], [scores], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, path)
    return path
