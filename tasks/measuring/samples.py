"""Where the samples are that models are judged by."""

from __future__ import annotations

from pathlib import Path

from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.refusals import shown

SAMPLES = (
    "a `.npz` file (arrays by the inputs' names, and `labels`), or a folder with a folder of images for each label"
)


def samples_at(host: Host, path: Path | None) -> str | None:
    """Give the absolute path of samples; raises TaskFailed where there are none."""
    if path is None:
        return None
    found = host.stat(path)
    if found is None:
        raise TaskFailed(f"there are no samples at {shown(path)}", hint=f"give {SAMPLES}")
    if found.is_file and path.suffix != ".npz":
        raise TaskFailed(f"{shown(path)} holds no samples", hint=f"give {SAMPLES}")
    return str(host.resolve(path))
