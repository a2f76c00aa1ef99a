"""Experiments to be released, models that really load, and archives that nobody should unpack."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from runbook.engine.rounds import Record, perform
from runbook.host import LocalHost
from runbook.registry import Registry
from runbook.testing.laws import Silent

NOW = datetime(2026, 3, 10, 2, tzinfo=UTC)
REGISTRY = Registry()  # one for all: it knows what it has imported, whatever user looks again
EMPTY_MODEL = b"\x3a\x00"  # what reads as an ONNX model with an empty graph


def model(path: Path, *, seed: int = 0, external: str | None = None, size: int = 8) -> Path:
    """Write a small classifier, its weights in a file of their own if that is named."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.random.default_rng(seed).random((size * size, 4), dtype=np.float32), "w")
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["y"])]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", size, size])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])]
    graph = helper.make_graph(nodes, "digits", inputs, outputs, [weights])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    if external:
        onnx.save(made, path, save_as_external_data=True, location=external, size_threshold=0)
        (path.parent / external).chmod(0o644)
    else:
        onnx.save(made, path)
    return path


def experiment(root: Path) -> Path:
    """Make an experiment with two models, one of which keeps its weights beside it."""
    model(root / "export/model_1.onnx")
    model(root / "export/model_2.onnx", seed=1, external="model_2.onnx.data")
    (root / "export/latest.onnx").symlink_to("model_2.onnx")
    (root / "reports").mkdir()
    (root / "reports/metrics.json").write_text('{"accuracy": 0.97}\n')
    (root / "config.yaml").write_text("lr: 0.1\n")
    (root / "requirements.txt").write_text("onnxruntime\n")
    (root / ".env.example").write_text("API_KEY=\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    for path in root.rglob("*"):
        os.utime(path, (1_760_000_000, 1_760_000_000), follow_symlinks=False)
    return root


@contextmanager
def for_everybody() -> Iterator[Path]:
    """Give a temporary folder that other users reach too, as they do not reach those of pytest."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def host_at(folder: Path, *, now: datetime = NOW, **how: Any) -> LocalHost:
    return LocalHost(now=now, cwd=folder, env={**os.environ, "SOURCE_DATE_EPOCH": ""}, run_id="release", **how)


def played(task: str, host: LocalHost, **params: Any) -> Record:
    """Play a task as a step does: plan, apply, ask again."""
    spec, record = REGISTRY.spec(task), Record()
    host.begin(f"the step {task}")
    perform(spec, spec.params.model_validate(params), host, record, Silent())
    return record


def built(root: Path, host: LocalHost | None = None, **params: Any) -> Path:
    return Path(played("release.build", host or host_at(root), root=root, **params).data["path"])


def entry(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, **more: Any) -> tuple[tarfile.TarInfo, bytes]:
    """Give a member of a tar; `more` sets what else its header says."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data)
    for field, value in more.items():
        setattr(info, field, value)
    return info, data


def files_of(members: list[tuple[tarfile.TarInfo, bytes]]) -> list[dict[str, Any]]:
    """Give what an honest manifest says of some members."""
    return [
        {"path": info.name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for info, data in members
    ]


def manifest(files: list[dict[str, Any]], /, **more: Any) -> bytes:
    said = {"schema": "runbook.release/1", "created": "2026-03-10T02:00:00Z", "git": None, "version": None}
    first = files[0]["path"] if files else ""
    return json.dumps({**said, "model": first, "files": files, **more}).encode()


def archive(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], about: bytes | None = None) -> Path:
    """Write an archive by the library's own hands, with its SHA-256 beside it; the manifest is honest if not given."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:
        about = manifest(files_of(members)) if about is None else about
        for info, data in [entry("MANIFEST.json", about), *members]:
            tar.addfile(info, io.BytesIO(data))
    return sealed(path, gzip.compress(plain.getvalue(), 1, mtime=0))


def sealed(path: Path, data: bytes) -> Path:
    """Write a file with the SHA-256 that it really has beside it."""
    path.write_bytes(data)
    path.with_name(path.name + ".sha256").write_text(f"{hashlib.sha256(data).hexdigest()}  {path.name}\n")
    return path
