"""Olive's session tuning: every level of optimisation with one and two threads, one after the other; gives the winner."""

import json
import sys
import tempfile

import onnxruntime
from olive.workflows import run


def data_of(path: str) -> dict[str, object]:
    """Say what a model of one input takes, as Olive's made-up data wants it."""
    (given,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).get_inputs()
    shape = [size if isinstance(size, int) else 1 for size in given.shape]
    asked = {"type": "dummy_dataset", "input_shapes": [shape], "input_names": [given.name], "input_types": ["float32"]}
    return {"name": "made_up", "type": "DummyDataContainer", "load_dataset_config": asked}


def tuned(path: str, repeat: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        latency = {
            "name": "latency",
            "type": "latency",
            "data_config": "made_up",
            "sub_types": [{"name": "avg", "metric_config": {"repeat_test_num": repeat}}],
        }
        tuning = {"type": "OrtSessionParamsTuning", "data_config": "made_up"}
        tuning |= {"opt_level_list": [0, 1, 2, 3, 99], "intra_thread_num_list": [1, 2]}
        here = {"device": "cpu", "execution_providers": ["CPUExecutionProvider"]}
        run(
            {
                "input_model": {"type": "ONNXModel", "model_path": path},
                "systems": {"here": {"type": "LocalSystem", "accelerators": [here]}},
                "data_configs": [data_of(path)],
                "evaluators": {"speed": {"metrics": [latency]}},
                "search_strategy": {"execution_order": "joint", "sampler": "sequential"},
                "passes": {"tuning": tuning},
                "evaluator": "speed",
                "host": "here",
                "target": "here",
                "cache_dir": f"{folder}/cache",
                "output_dir": f"{folder}/out",
                "evaluate_input_model": False,
                "log_severity_level": 4,
            }
        )
        with open(f"{folder}/out/model_config.json") as file:
            found = json.load(file)["config"]["inference_settings"]["session_options"]
    return {"level": found["graph_optimization_level"], "threads": found["intra_op_num_threads"]}


if __name__ == "__main__":
    print(json.dumps(tuned(sys.argv[1], int(sys.argv[2]))))
