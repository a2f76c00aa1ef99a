"""`torch.utils.benchmark`, one model after the other: the median of `blocked_autorange` over `session.run`."""

import json
import sys

import numpy as np
import onnxruntime
from torch.utils.benchmark import Timer


def median(path: str) -> float:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    shape = [size if isinstance(size, int) else 1 for size in given.shape]
    feed = {given.name: np.random.default_rng(0).standard_normal(shape).astype(np.float32)}
    timer = Timer("session.run(None, feed)", globals={"session": session, "feed": feed})
    return float(timer.blocked_autorange(min_run_time=1.0).median)


if __name__ == "__main__":
    print(json.dumps([median(path) for path in sys.argv[1:]]))
