"""What an ONNX file is: whether it is valid, what it takes and gives, and which operators its work is in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runbook.measure.refusals import Refused

DENSE = frozenset({"MatMul", "Gemm", "Attention", "LSTM", "GRU"})
CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})


def read_graph(path: str) -> Any:
    """Read a model without its external data; raises Refused for what is none."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return onnx.load_model(path, load_external_data=False)
    except (DecodeError, ValueError, OSError) as error:
        raise Refused(f"{path} is damaged or no ONNX model: {error}") from error


def census(model: Any) -> Counter[str]:
    """Count the operators, those of subgraphs too."""
    import onnx

    found: Counter[str] = Counter()
    graphs = [model.graph]
    while graphs:
        for node in graphs.pop().node:
            found[node.op_type] += 1
            for attribute in node.attribute:
                graphs += [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else list(attribute.graphs)
    return found


def method_for(operators: Mapping[str, int]) -> str:
    """Choose how to quantise: dynamic INT8 needs no samples, but where convolutions prevail it is slower than FP32.

    Raises Refused where there is nothing to quantise.
    """
    dense = sum(operators.get(name, 0) for name in DENSE)
    convolutions = sum(operators.get(name, 0) for name in CONVOLUTIONS)
    if not dense + convolutions:
        raise Refused("the model has neither convolutions nor matrix products: there is nothing to quantise")
    return "static" if convolutions >= dense else "dynamic"


def check(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Hold a model to the rules of ONNX, and tell what it is; raises Refused for what is wrong with it."""
    import onnx

    path = asked["model"]
    model = read_graph(path)
    pieces = external(model)
    lacking = [name for name in pieces if not Path(path).parent.joinpath(name).is_file()]
    if lacking:
        raise Refused(f"{path} lacks its external data: {', '.join(lacking)}", hint="copy it beside the model")
    try:
        onnx.checker.check_model(path, full_check=True)  # by path, so that weights of any size are found
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        raise Refused(f"{path} is no valid ONNX model: {str(error).strip()[:500]}") from error
    return {
        "opset": {one.domain or "ai.onnx": one.version for one in model.opset_import},
        "ir_version": model.ir_version,
        "producer": f"{model.producer_name} {model.producer_version}".strip(),
        "inputs": [_told(one) for one in model.graph.input if one.name not in _names(model)],
        "outputs": [_told(one) for one in model.graph.output],
        "operators": dict(sorted(census(model).items())),
        "external": pieces,
    }


def _names(model: Any) -> set[str]:
    return {one.name for one in model.graph.initializer}


def external(model: Any) -> list[str]:
    """Give the files in which the model keeps weights, each once."""
    from onnx.external_data_helper import ExternalDataInfo, _get_all_tensors, uses_external_data

    return sorted({ExternalDataInfo(one).location for one in _get_all_tensors(model) if uses_external_data(one)})


def weight(path: str) -> int:
    """Give the size of a model in bytes, its external data included."""
    pieces = [Path(path), *(Path(path).parent / name for name in external(read_graph(path)))]
    return sum(piece.stat().st_size for piece in pieces)


def _told(one: Any) -> dict[str, Any]:
    import onnx

    kind = one.type.tensor_type
    shape = [each.dim_value if each.HasField("dim_value") else each.dim_param or None for each in kind.shape.dim]
    return {"name": one.name, "type": onnx.TensorProto.DataType.Name(kind.elem_type).lower(), "shape": shape}
