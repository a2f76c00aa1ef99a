"""Olive's evaluator, one model after the other: the average latency, with the settings it has without others."""

import json
import logging
import sys

import onnxruntime
from olive.evaluator.olive_evaluator import OliveEvaluatorConfig
from olive.hardware.accelerator import DEFAULT_CPU_ACCELERATOR
from olive.model import ModelConfig
from olive.systems.local import LocalSystem


def data_of(path: str) -> dict[str, object]:
    """Say what a model of one input takes, as Olive's made-up data wants it."""
    (given,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).get_inputs()
    shape = [size if isinstance(size, int) else 1 for size in given.shape]
    asked = {"type": "dummy_dataset", "input_shapes": [shape], "input_names": [given.name], "input_types": ["float32"]}
    return {"name": "made_up", "type": "DummyDataContainer", "load_dataset_config": asked}


def latency(path: str) -> float:
    asked = {"name": "latency", "type": "latency", "data_config": data_of(path), "sub_types": [{"name": "avg"}]}
    asked["user_config"] = {"inference_settings": {"onnx": {"session_options": {"intra_op_num_threads": 1}}}}
    model = ModelConfig(type="ONNXModel", config={"model_path": path})
    found = LocalSystem().evaluate_model(model, OliveEvaluatorConfig(metrics=[asked]), DEFAULT_CPU_ACCELERATOR)
    return float(found["latency-avg"].value)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    print(json.dumps([latency(path) for path in sys.argv[1:]]))
