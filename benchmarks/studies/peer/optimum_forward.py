"""optimum-benchmark, one model after the other: the median latency of a small BERT of so many layers, on PyTorch."""

import json
import logging
import sys

from optimum_benchmark import Benchmark, BenchmarkConfig, InferenceConfig, ProcessConfig, PyTorchConfig
from transformers import BertConfig, BertForSequenceClassification


def write(folder: str, layers: int) -> None:
    sizes = {"hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 256, "vocab_size": 1000}
    BertForSequenceClassification(BertConfig(num_hidden_layers=layers, **sizes)).save_pretrained(folder)


def latency(folder: str) -> float:
    shapes = {"batch_size": 1, "sequence_length": 16}
    found = Benchmark.launch(
        BenchmarkConfig(
            name="forward",
            launcher=ProcessConfig(),
            scenario=InferenceConfig(latency=True, memory=False, duration=1, input_shapes=shapes),
            backend=PyTorchConfig(
                model=folder,
                task="text-classification",
                library="transformers",
                model_type="bert",
                device="cpu",
                intra_op_num_threads=1,
            ),
        )
    )
    return float(found.to_dict()["forward"]["latency"]["p50"])


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    if sys.argv[1] == "write":
        write(sys.argv[2], int(sys.argv[3]))
        print(json.dumps(sys.argv[2]))
    else:
        print(json.dumps([latency(folder) for folder in sys.argv[1:]]))
