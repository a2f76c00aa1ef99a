"""The command `python -m benchmarks.models`: what engines and INT8 make of three networks, by the product's own tasks.

A ResNet-18 in small is trained on digits for a few seconds, so that its INT8 models are judged by real samples that were
held back; a transformer block and dense layers have random weights. All come from torch by `onnx.export`. Each is
measured in both engines (`bench.infer`), and quantised (`onnx.quantize`) in the way that `auto` chooses and in the other.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.measure import RUNBOOK
from runbook.service.digits import load_digits

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "models.json"
PAGE = ROOT / "docs" / "PERFORMANCE.md"
BEGIN, END = "<!-- models: written by `python -m benchmarks.models` -->", "<!-- end of models -->"
NETWORKS = ROOT / "tests" / "torching.py"
HELD = 299  # digits that the network is not trained on: a sixth, as for all models of the digits
SHAPES = {"resnet": [1, 16, 16], "transformer": [32, 128], "dense": [1, 8, 8]}
WHAT = {
    "resnet": "ResNet-18 of 32 to 256 channels",
    "transformer": "transformer block of 128",
    "dense": "dense layers of 512",
}
TRAINED = """import torch
from tests.torching import resnet
def make():
    module = resnet(colours=1)
    module.load_state_dict(torch.load({weights!r}))
    return module
"""


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Give the digits, each pixel as four: [n, 1, 16, 16], and which digit each shows."""
    images, labels = load_digits(10)
    return np.kron(images, np.ones((1, 2, 2), np.float32))[:, None], labels


def train(folder: Path, epochs: int = 4) -> Path:
    """Train the network on all but the held-back digits, write these as samples, and give a file that makes it."""
    import torch

    from tests.torching import resnet

    images, labels = digits()
    torch.set_num_threads(1)  # two that wait for one another on a busy machine take many times as long
    given, right = torch.from_numpy(images[:-HELD]), torch.from_numpy(labels[:-HELD])
    module = resnet(colours=1).train()
    descent = torch.optim.Adam(module.parameters())
    pace = torch.optim.lr_scheduler.OneCycleLR(descent, 3e-3, epochs=epochs, steps_per_epoch=-(-len(given) // 64))
    for _ in range(epochs):
        for some in torch.randperm(len(given)).split(64):
            descent.zero_grad()
            torch.nn.functional.cross_entropy(module(given[some]), right[some]).backward()
            descent.step()
            pace.step()
    np.savez(folder / "held.npz", input=images[-HELD:], labels=labels[-HELD:])
    np.savez(folder / "calibration.npz", input=images[:128], labels=labels[:128])
    weights, maker = folder / "resnet.weights", folder / "trained.py"
    torch.save(module.state_dict(), weights)
    maker.write_text(TRAINED.format(weights=str(weights)))
    return maker


def played(folder: Path, step: dict[str, Any]) -> dict[str, Any]:
    """Play one step in a process of its own, and give what it returned; a closed gate is a result too."""
    playbook, report = folder / "play.yml", folder / "play.json"
    playbook.write_text(json.dumps([{"hosts": "localhost", "steps": [step]}]))
    env = os.environ | {"PYTHONPATH": str(ROOT), "RUNBOOK_HOME": str(folder / "home")}
    command = [RUNBOOK, "play", str(playbook), "--report", str(report), "-q"]
    subprocess.run(command, env=env, check=False, stdout=subprocess.DEVNULL)
    told: dict[str, Any] = json.loads(report.read_text())["steps"][0]
    if told["status"] == "failed" and "schema" not in (told["data"] or {}):
        sys.exit(f"{step}: {told['error']['message']}")
    return dict(told["data"])


def measured(folder: Path, name: str, maker: str, timing: dict[str, Any]) -> dict[str, Any]:
    """Export a network, run it in both engines, and quantise it both ways."""
    out = folder / f"{name}.onnx"
    click.echo(f"{name}: exporting")
    played(folder, {"onnx.export": {"model": maker, "out": str(out), "shape": SHAPES[name]}})
    click.echo(f"{name}: both engines")
    both = {"engine": "both", "model": str(out), "torch": maker, "batches": [1, 8, 32], "threads": 1, **timing}
    engines = played(folder, {"bench.infer": {**both, "report": str(folder / f"{name}.json"), "plot": False}})
    found: dict[str, Any] = {
        "what": WHAT[name],
        "bytes": out.stat().st_size,
        "engines": engines["comparisons"],
        "latency_ms": {},
        "cpu_ms": {},
        "int8": {},
    }
    for each in engines["results"]:
        key = f"{each['candidate']}, {each['batch']}"
        found["latency_ms"][key] = round(each["latency_ms"]["p50"]["value"], 4)
        found["cpu_ms"][key] = round(each["cpu_seconds_per_sample"] * each["batch"] * 1e3, 4)
    samples = {"samples": str(folder / "held.npz"), "calibration": str(folder / "calibration.npz"), "count": HELD}
    methods = ("auto", "dynamic" if name == "resnet" else "static")
    for method in methods:
        click.echo(f"{name}: {method} INT8")
        given = {
            "model": str(out),
            "out": str(folder / f"{name}.{method}.onnx"),
            "method": method,
            "threads": 1,
            **timing,
        }
        step = {"onnx.quantize": given | (samples if name == "resnet" else {"count": 128, "min_agreement": "50%"})}
        told = played(folder, step)
        quality = told.get("quality", told)
        found["int8"][method] = {
            "method": told["method"],
            "published": told["published"],
            "speedup": told["speed"]["ratio"] if "speed" in told else told["speedup"],
            "interval": told["speed"]["interval"] if "speed" in told else told["interval"],
            **{name: quality[name] for name in ("drop", "flips", "bound", "agreement", "accuracy")},
            "bytes": told["bytes"],
            "refused": told.get("refused", []),
        }
    return found


def page(numbers: dict[str, Any]) -> str:
    """Draw the results as tables of Markdown."""
    about, rows = numbers["environment"], []
    versions = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    machine = (
        f"{about['cpu']}, {about['cpus']} cores, {', '.join(about['features'])}; one thread; load {numbers['load']}"
    )
    lines = [
        f"{numbers['date']}: {machine}; {versions}; {numbers['rounds']} rounds of {numbers['block']}.",
        "",
        "| network | batch | ONNX Runtime: p50 ms | CPU ms | torch: p50 ms | CPU ms | torch is so many times as fast | 95 % interval |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for found in numbers["models"].values():
        for one in found["engines"]:
            keys = [f"{engine}, {one['batch']}" for engine in ("onnx", "torch")]
            times = [found[kind][key] for key in keys for kind in ("latency_ms", "cpu_ms")]
            low, high = one["interval"]
            rows.append(
                [
                    found["what"],
                    one["batch"],
                    *(f"{time:.3g}" for time in times),
                    f"{one['ratio']:.2f}",
                    f"{low:.2f} to {high:.2f}",
                ]
            )
    lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
    lines += [
        "",
        "| network | INT8 | so many times as fast as FP32 | 95 % interval | top-1 or agreement | |",
        "|---|---|---|---|---|---|",
    ]
    for found in numbers["models"].values():
        for asked, one in found["int8"].items():
            low, high = one["interval"]
            way = f"auto: {one['method']}" if asked == "auto" else asked
            if one["drop"] is None:
                quality = f"agrees on {one['agreement']:.1%}"
            else:
                before, after = one["accuracy"]
                quality = f"{before:.2%} to {after:.2%}, {one['flips']['lost']} lost, {one['flips']['gained']} gained"
            fate = "published" if one["published"] else "refused"
            lines.append(
                f"| {found['what']} | {way} | {one['speedup']:.2f} | {low:.2f} to {high:.2f} | {quality} | {fate} |"
            )
    return "\n".join([*lines, ""])


@click.command()
@click.option("--rounds", default=40, help="Paired rounds of each measurement.")
@click.option("--block", default="50ms", help="How long a candidate runs in a round.")
@click.option("--write/--no-write", default=True, help="Keep the results, and write them into docs/PERFORMANCE.md.")
def main(*, rounds: int, block: str, write: bool) -> None:
    """Measure three networks in both engines and in INT8 (about five minutes)."""
    from runbook.measure.machine import fingerprint

    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="runbook-models-") as made:
        folder = Path(made)
        makers = {
            "resnet": f"{train(folder)}:make",
            **{name: f"{NETWORKS}:{name}" for name in ("transformer", "dense")},
        }
        timing = {"rounds": rounds, "block": block}
        models = {name: measured(folder, name, maker, timing) for name, maker in makers.items()}
    load = f"{before:.1f} to {os.getloadavg()[0]:.1f}"
    numbers = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "environment": fingerprint(),
        "load": load,
        "rounds": rounds,
        "block": block,
        "models": models,
    }
    text = page(numbers)
    click.echo(text)
    if write:
        RESULTS.write_text(json.dumps(numbers, indent=1) + "\n")
        whole = PAGE.read_text("utf-8")
        head, tail = whole.split(BEGIN)[0], whole.split(END)[1]
        PAGE.write_text(f"{head}{BEGIN}\n{text}{END}{tail}", "utf-8")


if __name__ == "__main__":
    main()
