"""What is certain before anything is measured: a model that no runtime loads, a provider that is not there."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.refusals import shown

from ..archives.external import (  # noqa: TID252 - `runbook.tasks` is no folder of runbook/, so the type checker would not find it
    NoModel,
    external_data,
)

LISTED = "import json, onnxruntime; print(json.dumps(onnxruntime.get_available_providers()))"
WHOLE = "is it the model's own file, and was its export ended half-way? export it again"
NEEDED = (
    "on a machine with an NVIDIA GPU: pip uninstall -y onnxruntime; pip install 'runbook[gpu]'; then `runbook doctor`"
    " tries it; elsewhere leave out `require`"
)


def refuse_hopeless(host: Host, candidates: Iterable[Mapping[str, Any]], *, require: bool = False) -> None:
    """Raise TaskFailed for what would fail for certain, so that a check says so and a run does so at once."""
    chosen = [one for one in candidates if one.get("engine", "onnx") == "onnx"]
    for path in dict.fromkeys(Path(one["model"]) for one in chosen):
        if path.suffix != ".ort":  # ONNX Runtime's own form is none of ONNX
            _refuse_torn(host, path)
    if require:
        _refuse_unlisted(host, {name for one in chosen for name in one["providers"]})


def _refuse_torn(host: Host, path: Path) -> None:
    found = host.stat(path)
    with host.open(path) as file:
        try:
            external_data(file, found.size if found is not None else 0)
        except NoModel as error:
            raise TaskFailed(f"{shown(path)} is damaged or no ONNX model: {error}", hint=WHOLE) from error


def _refuse_unlisted(host: Host, wanted: set[str]) -> None:
    """Refuse providers that ONNX Runtime does not even list; those that it does may still fail in the run."""
    done = host.probe([sys.executable, "-P", "-c", LISTED])
    if done.rc:
        raise TaskFailed(f"ONNX Runtime cannot be asked for its providers: it {done.last_words()}")
    listed = json.loads(done.stdout.strip().splitlines()[-1])
    known = {name.lower() for name in listed}
    if lacking := sorted(name for name in wanted if f"{name}ExecutionProvider".lower() not in known):
        names = " and ".join(lacking)
        text = f"{names} was required, and {names} is not to be had here (ONNX Runtime has {', '.join(listed)})"
        raise TaskFailed(text, hint=NEEDED)
