"""Where the samples are that models are judged by."""

from __future__ import annotations

import hashlib
from pathlib import Path

from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.refusals import shown

from .candidates import IMAGES

SAMPLES = (
    "a `.npz` file (arrays by the inputs' names, and `labels`), or a folder with a folder of images for each label"
)


def digest_of(host: Host, samples: str | None) -> str | None:
    """Give the SHA-256 of samples: of the file, or of the lines `<sha256>  <name>` of the images in a folder."""
    if samples is None:
        return None
    path = Path(samples)
    found = host.stat(path)
    if found is not None and found.is_file:
        return host.sha256(path)
    images = [one.path for one in host.find(path, recursive=True) if one.path.suffix.lower() in IMAGES]
    lines = "".join(f"{host.sha256(one)}  {one.relative_to(path)}\n" for one in images)
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


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
