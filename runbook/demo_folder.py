"""Makes the experiment folder of a classifier that has been trained and served for weeks, out of real files."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from runbook.errors import Invalid

HOUR, DAY = 3600.0, 86400.0
MARK = ".runbook-demo"
LIVE_LOG = "api.out"
LINKED = "model_2.onnx"  # what latest.onnx leads to: not the newest, and old enough to be pruned if nothing led there


@contextmanager
def fresh(folder: Path) -> Iterator[Path]:
    """Make the folder anew, or refuse with `Invalid` if it holds something that no demo has made."""
    folder = folder.resolve()
    if folder.exists() and not (folder / MARK).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise Invalid(f"{folder} was not made by a demo, so it is left alone", hint="name another with --folder")
    if (folder / MARK).is_file():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text("The demo may delete this folder.\n")
    yield folder


def make_experiment(root: Path, *, now: float | None = None, lines: int = 12_000) -> Path:
    """Fill `root` with logs of `lines` lines each, checkpoints, models and reports; ages count back from `now` (s)."""
    now = time.time() if now is None else now
    dice = random.Random(7)  # noqa: S311 - the same folder every time, and nothing secret in it
    for name in ("logs/archive", "checkpoints", "export", "reports", "releases"):
        (root / name).mkdir(parents=True)
    logs = {
        "train.out": 45 * DAY,
        "train.err": 20 * DAY,
        "api.1.out": 8 * DAY,
        "api.2.out": 6 * DAY,
        "worker.err": 3 * HOUR,
    }
    for name, age in logs.items():
        _put(root / "logs" / name, log_text(dice, lines, now - age), now - age)
    _put(root / "logs" / LIVE_LOG, log_text(dice, lines // 10, now), now)
    _put(root / "logs" / "events.json", b'{"event": "deployed"}\n', now - 60 * DAY)
    for name, age in {"serve.out.gz": 40 * DAY, "serve.err.gz": 12 * DAY}.items():
        _put(root / "logs/archive" / name, gzip.compress(log_text(dice, lines // 10, now - age), mtime=0), now - age)
    for step, age in {1000: 30, 2000: 16, 3000: 9, 4000: 1}.items():
        _put(root / "checkpoints" / f"last_{step}.pt", dice.randbytes(200_000), now - age * DAY)
    _put(root / "checkpoints" / "best.pt", dice.randbytes(200_000), now - 60 * DAY)
    for number in range(1, 8):
        _put(root / "export" / f"model_{number}.onnx", tiny_model(dice), now - (40 - 5 * number) * DAY)
    (root / "export" / "latest.onnx").symlink_to(LINKED)
    _put(root / "reports" / "metrics.json", json.dumps({"top1": 0.912, "samples": 5000}).encode(), now - 2 * DAY)
    return root


def _put(path: Path, content: bytes, mtime: float) -> None:
    path.write_bytes(content)
    os.utime(path, (mtime, mtime))


def log_text(dice: random.Random, lines: int, until: float) -> bytes:
    """Write the log of an inference service: `lines` lines, a second or so apart, the last at `until`."""
    at = datetime.fromtimestamp(until, UTC) - timedelta(seconds=lines)
    labels = ("tabby", "beagle", "espresso", "trolleybus", "volcano")
    text = []
    for _ in range(lines):
        at += timedelta(seconds=dice.random() * 2)
        latency, status = dice.gauss(18, 4), 200 if dice.random() > 0.01 else 422
        text.append(
            f"{at:%Y-%m-%d %H:%M:%S},{at.microsecond // 1000:03} INFO uvicorn.access 10.2.0.{dice.randrange(256)}"
            f' "POST /predict HTTP/1.1" {status} label={dice.choice(labels)} confidence={dice.random():.4f}'
            f" latency_ms={latency:.1f} request_id={dice.getrandbits(64):016x}\n"
        )
    return "".join(text).encode()


def tiny_model(dice: random.Random, inputs: int = 12, classes: int = 5) -> bytes:
    """Give an ONNX model, `logits = image @ weights`, as the bytes of a ModelProto (onnx.proto3 of onnx 1.14)."""
    weights = struct.pack(f"<{inputs * classes}f", *(dice.gauss(0, 1) for _ in range(inputs * classes)))
    tensor = _numbers(1, inputs, classes) + _numbers(2, FLOAT) + _bytes(8, b"weights") + _bytes(9, weights)
    node = (
        _bytes(1, b"image") + _bytes(1, b"weights") + _bytes(2, b"logits") + _bytes(3, b"dense") + _bytes(4, b"MatMul")
    )
    graph = _bytes(1, node) + _bytes(2, b"classifier") + _bytes(5, tensor)
    graph += _bytes(11, _value(b"image", inputs)) + _bytes(12, _value(b"logits", classes))
    return _numbers(1, 8) + _bytes(2, b"runbook.demo") + _bytes(7, graph) + _bytes(8, _numbers(2, 13))


FLOAT = 1


def _value(name: bytes, width: int) -> bytes:
    """Give the ValueInfoProto of a float tensor of shape (batch, width)."""
    shape = _bytes(1, _bytes(2, b"batch")) + _bytes(1, _numbers(1, width))
    return _bytes(1, name) + _bytes(2, _bytes(1, _numbers(1, FLOAT) + _bytes(2, shape)))


def _numbers(field: int, *values: int) -> bytes:
    return b"".join(_varint(field << 3) + _varint(value) for value in values)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
