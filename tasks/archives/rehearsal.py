"""The rehearsal of a restore: a release picked at random, unpacked, compared, loaded, and made to predict."""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.refusals import shown

from . import predict, restoring
from .manifest import STAMP, Manifest, outer
from .releases import releases
from .unpack import Limits, manifest_of

SCHEMA = "runbook.rehearsal/1"


def picked(host: Host, folder: Path, seed: int) -> Path:
    """Give one of the complete releases of a folder; the same for the same seed."""
    found = [release.path for release in releases(host, folder) if release.complete]
    if not found:
        raise TaskFailed(f"there is no complete release in {shown(folder)}", hint="build one with release.build")
    return random.Random(seed).choice(found)  # noqa: S311 - nothing secret is picked


def maker(host: Host, path: Path, sha256: str, seed: int, timeout: float) -> Callable[[Path], dict[str, Any]]:
    """Give the function that rehearses, and writes its report.

    It unpacks under the name that the report is written under, so that a run that is killed leaves nothing that the
    next one would not clear away.
    """

    def make(spare: Path) -> dict[str, Any]:
        manifest = manifest_of(host, path)
        spare.mkdir(0o700)
        restoring.filler(host, path, sha256, Limits(manifest.size, len(manifest.files)))(spare)
        result = {
            **_said(host, path, sha256, manifest, seed),
            **_predicted(host, spare / outer(manifest.model), seed, timeout),
        }
        shutil.rmtree(spare)
        spare.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        return result

    return make


def _said(host: Host, path: Path, sha256: str, manifest: Manifest, seed: int) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "at": f"{host.now:{STAMP}}",
        "release": path.name,
        "sha256": sha256,
        "seed": seed,
        "files": len(manifest.files),
        "bytes": manifest.size,
        "model": manifest.model,
    }


def _predicted(host: Host, model: Path, seed: int, timeout: float) -> dict[str, Any]:
    """Load the model in a process of its own, which only reads."""
    script = str(Path(predict.__file__))
    done = host.probe([sys.executable, "-I", "-B", script, str(model), str(seed)], timeout=timeout)
    if done.rc:
        said = done.stderr.strip().rpartition("\n")[2] or f"it ended with {done.rc}"
        raise TaskFailed(
            f"the model {shown(model.name)} was restored whole, and cannot be used: {said}",
            hint="was it exported for another runtime? restore it by hand and load it there",
        )
    found: dict[str, Any] = json.loads(done.stdout.rpartition("\n")[2])
    return found
