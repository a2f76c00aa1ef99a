"""A release of a gigabyte, weights and logs: release.build beside `tar czf` and `sha256sum`."""

from __future__ import annotations

import random
import shlex
import shutil
import subprocess
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.measure import RUNBOOK, Trial, interleave
from runbook.demo_folder import log_text

MEGABYTE = 10**6


def release(work: Path, *, quick: bool) -> dict[str, Any]:
    """Measure the build of a release, and the same files packed by tar, gzip and sha256sum."""
    root = work / "release"
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:  # its memory would count as the children's
        size = apart.submit(_experiment, root, 20 if quick else 600, 10 if quick else 400).result()
    (root.parent / "play.yml").write_text(
        "- hosts: localhost\n  steps:\n"
        f'    - release.build: {{root: "{root}", dest: "{root}/releases", include: ["logs/*.out"]}}\n'
    )
    archive = shlex.quote(f"{root}/by-tar/release.tar.gz")
    commands = {
        "runbook": [RUNBOOK, "play", "play.yml", "--state-dir", str(work / "state")],
        "tar and sha256sum": [
            *("sh", "-c"),
            f"tar czf {archive} -C {shlex.quote(str(root))} export logs config.yaml && sha256sum {archive} > {archive}.sha256",
        ],
    }
    trials = [_trial(name, command, root) for name, command in commands.items()]
    return {"bytes": size, "times": interleave(trials, 1 if quick else 3, warm=False)}


def _trial(name: str, command: list[str], root: Path) -> Trial:
    made = root / ("releases" if name == "runbook" else "by-tar")

    def before() -> None:
        shutil.rmtree(made, ignore_errors=True)
        if name != "runbook":
            made.mkdir()

    def after() -> None:
        (sums,) = made.glob("*.sha256")
        subprocess.run(["sha256sum", "-c", "--strict", "--quiet", sums.name], cwd=made, check=True)
        (packed,) = made.glob("*.tar.gz")
        listed = subprocess.run(["tar", "tzf", packed], capture_output=True, text=True, check=True).stdout
        for wanted in ("export/model.onnx.data", "logs/api-0.out", "config.yaml"):
            if wanted not in listed:
                raise SystemExit(f"{name}: {wanted} is not in {packed}")

    return Trial(name, command, root.parent, before, after)


def _experiment(root: Path, weights: int, logs: int) -> int:
    """Make an experiment with a model of so many megabytes of weights, and so many of logs; give its bytes."""
    import numpy as np
    from onnx import TensorProto, helper

    (root / "export").mkdir(parents=True)
    (root / "logs").mkdir()
    count = weights * MEGABYTE // 4
    chance = np.random.default_rng(1)
    with (root / "export/model.onnx.data").open("wb") as file:
        for start in range(0, count, MEGABYTE):
            file.write(chance.standard_normal(min(MEGABYTE, count - start), dtype=np.float32).tobytes())
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[count], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": "model.onnx.data", "offset": "0", "length": str(4 * count)}.items():
        tensor.external_data.add(key=key, value=value)
    shaped = helper.make_tensor_value_info("y", TensorProto.FLOAT, [count])
    graph = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "weights", [], [shaped], [tensor])
    (root / "export/model.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    (root / "config.yaml").write_text("lr: 0.1\n")
    dice = random.Random(1)
    for number in range(4):
        with (root / f"logs/api-{number}.out").open("wb") as file:
            while file.tell() < logs * MEGABYTE / 4:
                file.write(log_text(dice, 5000, time.time()))
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
